"""Server-sent events: what a piece of work reports, then its result or its error.

    event: stage   data: {"stage": "generating", "detail": "8 candidates"}
    event: text    data: {"index": 0, "text": "SELECT"}
    event: done    data: the answer, as without `stream`
    event: error   data: the one error body

A failure before the first event is an ordinary answer with its own status. While nothing happens
a comment goes out every 15 seconds, so that proxies keep the connection.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from service.api.errors import error_body, known_body
from service.api.hangup import hung_up, while_connected
from service.errors import VeriSQLError
from service.generation.stages import Piece, Report, Stage

EVENT_STREAM = "text/event-stream"
_QUIET_S = 15.0
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_LOG = logging.getLogger(__name__)

Work = Callable[[Report], Coroutine[Any, Any, bytes]]
_Event = Stage | Piece | None


async def event_stream(request: Request, work: Work) -> Response:
    """Start the work and stream what it reports; raises what it raises before its first report."""
    events: asyncio.Queue[_Event] = asyncio.Queue()
    working = asyncio.create_task(work(events.put_nowait))
    working.add_done_callback(lambda _: events.put_nowait(None))
    try:
        first = await while_connected(request, events.get())
        if first is None:
            working.result()
    except BaseException:
        await _end(working)
        raise
    body = _frames(request, first, events, working)
    return StreamingResponse(body, media_type=EVENT_STREAM, headers=_HEADERS)


async def _frames(
    request: Request, first: _Event, events: asyncio.Queue[_Event], working: asyncio.Task[bytes]
) -> AsyncGenerator[bytes, None]:
    watching = asyncio.create_task(hung_up(request))
    watching.add_done_callback(lambda _: _cancel(working))
    event = first
    try:
        while event is not None:
            yield _frame(event)
            while (event := await _next(events)) is _QUIET:
                yield b": waiting\n\n"
        yield _last(working)
    finally:
        watching.cancel()
        await _end(working)


class _Quiet:
    """Nothing happened for a while."""


_QUIET: Any = _Quiet()


async def _next(events: asyncio.Queue[_Event]) -> Any:
    try:
        async with asyncio.timeout(_QUIET_S):  # wait_for may swallow a cancellation in Python 3.11
            return await events.get()
    except TimeoutError:
        return _QUIET


def _frame(event: Stage | Piece) -> bytes:
    name = b"stage" if isinstance(event, Stage) else b"text"
    return b"event: %b\ndata: %b\n\n" % (name, orjson.dumps(event))


def _last(working: asyncio.Task[bytes]) -> bytes:
    """The result, or the error that ended the work."""
    try:
        return b"event: done\ndata: %b\n\n" % working.result()
    except VeriSQLError as error:
        return b"event: error\ndata: %b\n\n" % known_body(error)
    except asyncio.CancelledError:
        body = error_body("unavailable", "the service is stopping", None)
    except Exception:  # noqa: BLE001 - the process boundary: the answer has begun, no handler sees it
        _LOG.exception("unhandled error")
        message = "an internal error; the log has it under this request_id"
        body = error_body("internal_error", message, None)
    return b"event: error\ndata: %b\n\n" % body


def _cancel(working: asyncio.Task[bytes]) -> None:
    # Once: a second time would break off the closing of the connection to the model server.
    if not working.cancelling():
        working.cancel()


async def _end(working: asyncio.Task[bytes]) -> None:
    _cancel(working)
    await asyncio.wait([working])  # gather would cancel it again when it is cancelled itself
