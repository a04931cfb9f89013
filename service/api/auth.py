"""Who may call: a bearer key where VERISQL_API_KEYS names any."""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.errors import known_error
from service.errors import Unauthorized

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
"""What GET answers without a key."""


class KeyGuard:
    """Plain ASGI, so that a stranger's body is neither received nor parsed."""

    def __init__(self, app: ASGIApp, keys: frozenset[str]) -> None:
        self._app = app
        self._keys = [key.encode() for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 unless no keys are set, the path is open, or the request carries a key."""
        if scope["type"] != "http" or not self._keys or _is_open(scope) or self._knows(scope):
            await self._app(scope, receive, send)
            return
        how = "send a valid key as `Authorization: Bearer KEY`"
        answer = known_error(Unauthorized(how, param="authorization"))
        # What is still to come of the body is not read, so the connection cannot serve another.
        answer.headers.update({"WWW-Authenticate": "Bearer", "Connection": "close"})
        await answer(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        sent = _sent(Headers(scope=scope))
        if not any(hmac.compare_digest(sent, key) for key in self._keys):
            return False
        scope.setdefault("state", {})["caller"] = _fingerprint(sent)
        return True


def caller(request: Request) -> str | None:
    """A fingerprint of the key that the request came with; None where no keys are set.

    12 hexadecimal digits: they tell keys apart and do not give them away.
    """
    found: str | None = getattr(request.state, "caller", None)
    return found


def _sent(headers: Headers) -> bytes:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _fingerprint(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=6, person=b"verisql-key").hexdigest()


def _is_open(scope: Scope) -> bool:
    return scope["method"] == "GET" and scope["path"] in OPEN_PATHS
