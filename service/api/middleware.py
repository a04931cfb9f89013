"""What surrounds every request: its id, its size limit, its log line, its time, the last resort."""

import logging
import re
import time
import uuid

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.error_style import leave_style, use_style_of
from service.api.errors import INTERNAL, error_response
from service.logs import request_id
from service.metrics import Metrics

_LOG = logging.getLogger("service.access")
_CALLERS_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestContext:
    """Plain ASGI, so that streams pass through unbuffered."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; never raises for a failure inside it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, send, self._max_body_bytes)
        mark, style = request_id.set(call.id), use_style_of(scope["path"])
        try:
            await self._serve(call, scope, receive)
        finally:
            self._record(call, scope)
            leave_style(style)
            request_id.reset(mark)

    async def _serve(self, call: "_Call", scope: Scope, receive: Receive) -> None:
        try:
            if call.declared_too_large():
                answer = error_response(413, "too_large", call.limit_message, None)
                await answer(scope, receive, call.send)
            else:
                await self._app(scope, call.bounded(receive), call.send)
        except Exception:  # noqa: BLE001 - the process boundary: no traceback leaves the service
            _LOG.exception("unhandled error")
            if call.status == 0:
                response = error_response(500, "internal_error", INTERNAL, None)
                await response(scope, receive, call.send)

    def _record(self, call: "_Call", scope: Scope) -> None:
        route = scope.get("route")
        path = getattr(route, "path", "(none)")  # the template: a bounded number of labels
        elapsed = time.perf_counter() - call.start
        self._metrics.requests.labels(scope["method"], path, str(call.status)).inc()
        self._metrics.seconds.labels(scope["method"], path).observe(elapsed)
        data = {"method": scope["method"], "path": scope["path"], "status": call.status}
        _LOG.info("request", extra={"data": data | {"elapsed_ms": round(elapsed * 1000, 2)}})


class _Call:
    """One request on its way through."""

    def __init__(self, scope: Scope, send: Send, max_body_bytes: int) -> None:
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"")
        self.id = given.decode() if _CALLERS_ID.fullmatch(given) else uuid.uuid4().hex
        self.status = 0
        self.start = time.perf_counter()
        self._send = send
        self.limit_message = f"the body is larger than {max_body_bytes} bytes"
        self._limit = max_body_bytes
        self._length = headers.get(b"content-length", b"0")

    def declared_too_large(self) -> bool:
        """By the Content-Length header, before anything is read."""
        return self._length.isdigit() and int(self._length) > self._limit

    def bounded(self, receive: Receive) -> Receive:
        """The same channel, which raises once more than the limit came in."""
        seen = 0

        async def bounded_receive() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise HTTPException(413, self.limit_message)
            return message

        return bounded_receive

    async def send(self, message: Message) -> None:
        """Add the request's id to the answer's headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.id.encode())]
        await self._send(message)
