"""Errors as OpenAI's clients expect them, under the paths that are theirs.

The one error body gets a `type` more, and what is a 422 elsewhere is a 400: clients tell from these
which exception to raise, and what to try again.
"""

from contextvars import ContextVar, Token

from service.errors import VeriSQLError

_PREFIX = "/v1/"
_openai: ContextVar[bool] = ContextVar("openai_errors", default=False)
"""Whether the request that is being served is one of these."""


def use_style_of(path: str) -> Token[bool]:
    """Errors from here on are those of this path; give the token to `leave_style`."""
    return _openai.set(path.startswith(_PREFIX))


def leave_style(token: Token[bool]) -> None:
    """The style of before."""
    _openai.reset(token)


def styled_status(status: int) -> int:
    """The HTTP status to answer with."""
    return 400 if status == 422 and _openai.get() else status


def styled_detail(detail: dict[str, str | None], code: str) -> dict[str, str | None]:
    """What goes into the error body."""
    return detail | {"type": _type(code)} if _openai.get() else detail


def _type(code: str) -> str:
    if code == "unauthorized":
        return "authentication_error"
    return "server_error" if _STATUS.get(code, 400) >= 500 else "invalid_request_error"


def _tree(root: type[VeriSQLError]) -> list[type[VeriSQLError]]:
    return [root, *(found for child in root.__subclasses__() for found in _tree(child))]


_STATUS = {kind.code: kind.http_status for kind in _tree(VeriSQLError)}
