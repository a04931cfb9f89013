"""A job as server-sent events: what its file has, then what is added, then how it ended.

    id: 12-1f3a9b2c   event: metric | event | log   data: a row, or a line as a JSON string
    id: 0             event: reset                  what came before is void: the file was replaced
                      event: end                    data: the job; everything was sent
                      event: error                  data: the one error body; then it ends

`id` is the cursor after the item. A comment goes out when nothing else did for a while. Nothing is
kept for a reader that falls behind: the next batch is read once it has taken the last.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.errors import any_body, error_body
from service.api.events import EVENT_STREAM, HEADERS
from service.api.hangup import hung_up
from service.jobs.following import Batch, Following
from service.jobs.job import Job
from service.jobs.watching import Watched, Watching

RETRY_MS = 2000
"""How long a browser waits before it connects again."""


class LiveJob(Response):
    """The answer; ends with the job, with the caller, or with the service."""

    def __init__(
        self,
        watching: Watching,
        job: Job,
        following: Following,
        name: str,
        final: Callable[[Job], str],
    ) -> None:
        super().__init__(media_type=EVENT_STREAM, headers=HEADERS)
        del self.headers["content-length"]
        self._watching, self._job, self._following = watching, job, following
        self._name, self._final = name.encode(), final

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the end, or until nobody is there any more."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        streaming = asyncio.create_task(self._stream(send))
        leaving = asyncio.create_task(hung_up(Request(scope, receive)))
        try:
            await asyncio.wait((streaming, leaving), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:  # only a stopping server does that
            await _end(streaming)
            await _send(send, _error(error_body("unavailable", "the service is stopping", None)))
            await _send(send, b"", more=False)
        finally:
            leaving.cancel()
            await _end(streaming)

    async def _stream(self, send: Send) -> None:
        async with self._watching.join(self._job) as watched:
            async for frame in self._frames(watched):
                await _send(send, frame)
        await _send(send, b"", more=False)

    async def _frames(self, watched: Watched) -> AsyncIterator[bytes]:
        yield b"retry: %d\n\n" % RETRY_MS
        try:
            async for frame in self._followed(watched):
                yield frame
        except Exception as error:  # noqa: BLE001 - the process boundary: the answer has begun
            yield _error(any_body(error))

    async def _followed(self, watched: Watched) -> AsyncIterator[bytes]:
        look = watched.look
        while True:
            async for frame in self._unread(final=look.settled):
                yield frame
            if look.settled:
                yield b"event: end\ndata: %b\n\n" % self._final(look.job).encode()
                return
            newer = await watched.after(look, self._watching.quiet_s)
            if newer is look:
                yield b": still here\n\n"
            look = newer

    async def _unread(self, *, final: bool) -> AsyncIterator[bytes]:
        while True:
            batch = await asyncio.to_thread(self._following.read, final=final)
            if batch.items or batch.reset:
                yield self._written(batch)
            if not batch.items:
                return

    def _written(self, batch: Batch) -> bytes:
        frames = [b"id: 0\nevent: reset\ndata: {}\n\n"] if batch.reset else []
        frames += [
            b"id: %b\nevent: %b\ndata: %b\n\n" % (item.cursor.encode(), self._name, item.json)
            for item in batch.items
        ]
        return b"".join(frames)


async def _send(send: Send, frame: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": frame, "more_body": more})


def _error(body: bytes) -> bytes:
    return b"event: error\ndata: %b\n\n" % body


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
