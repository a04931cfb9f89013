"""The API server's errors: Status objects with its reasons and words."""

from typing import Any


class Refused(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


def not_found(resource: str, name: str) -> Refused:
    return Refused(404, "NotFound", f'{resource} "{name}" not found')


def already_exists(resource: str, name: str) -> Refused:
    return Refused(409, "AlreadyExists", f'{resource} "{name}" already exists')


def conflict(resource: str, name: str, why: str) -> Refused:
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return Refused(409, "Conflict", message)


def invalid(kind: str, name: str, why: str) -> Refused:
    return Refused(422, "Invalid", f'{kind} "{name}" is invalid: {why}')


def bad_request(why: str) -> Refused:
    return Refused(400, "BadRequest", why)


def forbidden(resource: str, verb: str, group: str, namespace: str) -> Refused:
    who = "system:serviceaccount:verisql:verisql"
    message = (
        f'{resource} is forbidden: User "{who}" cannot {verb} resource "{resource}" in API group '
        f'"{group}" in the namespace "{namespace}"'
    )
    return Refused(403, "Forbidden", message)
