"""The client for synchronous trainers: the asynchronous one, driven from a thread of its own."""

import queue
import weakref
from collections.abc import Generator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from service.client.aio import AsyncVerifyClient
from service.client.background import Background
from service.client.options import Options
from service.client.run import Found
from service.client.wire import Result


class VerifyClient:
    """Asks one service for verdicts; may be shared by threads, and used in a forked process."""

    def __init__(
        self, url: str, api_key: str | None = None, options: Options | None = None
    ) -> None:
        self._client = AsyncVerifyClient(url, api_key, options)
        self._background = Background()
        # Also when it is forgotten, and when the interpreter ends.
        self._end = weakref.finalize(self, self._background.close, self._client.aclose)

    def __enter__(self) -> "VerifyClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread; later calls raise RuntimeError."""
        self._end()

    def verify(self, *, deadline_s: float | None = None, **fields: Any) -> Result:
        """The report on one group; `fields` as for POST /verify. Raises ServiceError."""
        return self._background.run(self._client.verify(deadline_s=deadline_s, **fields))

    def verify_batch(
        self, items: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Result]:
        """A result for each item, in order; else as verify_stream."""
        return self._background.run(self._client.verify_batch(items, deadline_s=deadline_s))

    def verify_stream(
        self, items: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> Generator[Found, None, None]:
        """(index, report or `{"error": ...}`) as they finish; as AsyncVerifyClient.verify_stream.

        Leaving the loop early, or closing the generator, ends the work.
        """
        found: queue.SimpleQueue[Found | None] = queue.SimpleQueue()

        async def pump() -> None:
            try:
                stream = self._client.verify_stream(items, deadline_s=deadline_s)
                async with aclosing(stream):
                    async for one in stream:
                        found.put(one)
            finally:
                found.put(None)

        running = self._background.start(pump())
        try:
            while (one := found.get()) is not None:
                yield one
            running.result()
        finally:
            running.cancel()
