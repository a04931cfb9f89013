"""Server-sent events: what a piece of work reports, then its result or its error.

    event: stage   data: {"stage": "generating", "detail": "8 candidates"}
    event: text    data: {"index": 0, "text": "SELECT"}
    event: done    data: the answer, as without `stream`
    event: error   data: the one error body

A failure before the stream begins is an ordinary answer with its own status. It begins once the
model is asked: what fails until then (no such database, an engine that is off or starting) is known
within moments. While nothing happens a comment goes out every 15 seconds, so that proxies keep the
connection. Text is joined for a reader that falls behind (mailbox.py). Other protocols have other
forms of the same stream (Form).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import orjson
from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.api.errors import INTERNAL, error_body, known_body
from service.api.hangup import hung_up, while_connected
from service.api.mailbox import Mailbox
from service.errors import VeriSQLError
from service.generation.stages import Piece, Report, Stage

EVENT_STREAM = "text/event-stream"
_QUIET_S = 15.0
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_LOG = logging.getLogger(__name__)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
Work = Callable[[Report], Coroutine[Any, Any, T]]


class Form(Protocol[T_contra]):
    """How a stream is written; an empty frame is left out."""

    def opens(self, event: Stage | Piece) -> bool:
        """Whether the answer begins with this event; what fails before has a status of its own."""

    def begin(self) -> bytes:
        """The first frame."""

    def frame(self, event: Stage | Piece) -> bytes:
        """The frame of an event; not asked for those before the answer began."""

    def done(self, result: T_contra) -> bytes:
        """The last frames."""

    def failed(self, body: bytes) -> bytes:
        """The last frames after a failure, whose error body this is."""


async def event_stream(request: Request, work: Work[T], form: Form[T]) -> Response:
    """Start the work and stream what it reports; raises what it raises before the answer begins."""
    events = Mailbox()
    working = asyncio.create_task(work(events.put))
    working.add_done_callback(lambda _: events.end())
    try:
        first = await while_connected(request, _opening(events, form))
        if first is None:
            working.result()
    except BaseException:
        await _end(working)
        raise
    body = _frames(request, _written(first, events, working, form), working)
    return _Stream(body, working)


class _Stream(StreamingResponse):
    """Ends the work also where the caller is gone before the first frame: `_frames` never began."""

    def __init__(self, body: AsyncGenerator[bytes, None], working: asyncio.Task[Any]) -> None:
        super().__init__(body, media_type=EVENT_STREAM, headers=HEADERS)
        self._working = working

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _end(self._working)


async def _frames(
    request: Request, written: AsyncGenerator[bytes, None], working: asyncio.Task[T]
) -> AsyncGenerator[bytes, None]:
    watching = asyncio.create_task(hung_up(request))
    watching.add_done_callback(lambda _: _cancel(working))
    try:
        async for frame in written:
            if frame:
                yield frame
    finally:
        watching.cancel()
        await written.aclose()
        await _end(working)


async def _written(
    first: Any, events: Mailbox, working: asyncio.Task[T], form: Form[T]
) -> AsyncGenerator[bytes, None]:
    event = first
    yield form.begin()
    while event is not None:
        yield b": waiting\n\n" if event is _QUIET else form.frame(event)
        event = await _next(events)
    yield _last(working, form)


async def _opening(events: Mailbox, form: Form[Any]) -> Any:
    """The event with which the answer begins: none at the end, and silence is one too."""
    while (event := await _next(events)) not in (None, _QUIET) and not form.opens(event):
        pass
    return event


class _Quiet:
    """Nothing happened for a while."""


_QUIET: Any = _Quiet()


async def _next(events: Mailbox) -> Any:
    try:
        async with asyncio.timeout(_QUIET_S):  # wait_for may swallow a cancellation in Python 3.11
            return await events.get()
    except TimeoutError:
        return _QUIET


class NamedEvents:
    """The form of one stream of POST /generate."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def opens(self, event: Stage | Piece) -> bool:
        """With what follows the schema, which is held until then."""
        if isinstance(event, Stage) and event.stage == "schema":
            self._held.append(self.frame(event))
            return False
        return True

    def begin(self) -> bytes:
        """What was held."""
        return b"".join(self._held)

    def frame(self, event: Stage | Piece) -> bytes:
        """`stage` or `text`."""
        name = b"stage" if isinstance(event, Stage) else b"text"
        return b"event: %b\ndata: %b\n\n" % (name, orjson.dumps(event))

    def done(self, result: bytes) -> bytes:
        """`done`, with the answer's JSON."""
        return b"event: done\ndata: %b\n\n" % result

    def failed(self, body: bytes) -> bytes:
        """`error`."""
        return b"event: error\ndata: %b\n\n" % body


def _last(working: asyncio.Task[T], form: Form[T]) -> bytes:
    """The result, or the error that ended the work."""
    try:
        return form.done(working.result())
    except VeriSQLError as error:
        return form.failed(known_body(error))
    except asyncio.CancelledError:
        return form.failed(error_body("unavailable", "the service is stopping", None))
    except Exception:  # noqa: BLE001 - the process boundary: the answer has begun, no handler sees it
        _LOG.exception("unhandled error")
        return form.failed(error_body("internal_error", INTERNAL, None))


def _cancel(working: asyncio.Task[Any]) -> None:
    # Once: a second time would break off the closing of the connection to the model server.
    if not working.cancelling():
        working.cancel()


async def _end(working: asyncio.Task[Any]) -> None:
    _cancel(working)
    await asyncio.wait([working])  # gather would cancel it again when it is cancelled itself
