"""The client for asynchronous trainers."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from service.client.batch import Batch
from service.client.connection import Connection
from service.client.errors import ServiceError
from service.client.options import Options
from service.client.patience import Patience, backoff_s, out_of_time
from service.client.run import Found, Run
from service.client.wire import Result


class AsyncVerifyClient:
    """Asks one service for verdicts; docs/client.md says what is tried again and when.

    Any number of calls may be under way at once. A call that is cancelled, and a stream that is
    closed, closes its connections, and the service stops the work.
    """

    def __init__(
        self, url: str, api_key: str | None = None, options: Options | None = None
    ) -> None:
        self._options = options or Options()
        self._connection = Connection(url, api_key, self._options)

    async def __aenter__(self) -> "AsyncVerifyClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; later calls raise RuntimeError."""
        await self._connection.aclose()

    async def verify(self, *, deadline_s: float | None = None, **fields: Any) -> Result:
        """The report on one group; `fields` as for POST /verify. Raises ServiceError."""
        deadline_s = deadline_s or self._options.deadline_s
        until = asyncio.get_running_loop().time() + deadline_s
        try:
            async with asyncio.timeout_at(until):
                return await self._report(fields, until)
        except TimeoutError:
            raise out_of_time(deadline_s) from None

    async def verify_batch(
        self, items: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> list[Result]:
        """A result for each item, in order; else as verify_stream."""
        items = list(items)
        results: list[Result] = [{}] * len(items)
        async with aclosing(self.verify_stream(items, deadline_s=deadline_s)) as found:
            async for place, result in found:
                results[place] = result
        return results

    async def verify_stream(
        self, items: Iterable[Mapping[str, Any]], *, deadline_s: float | None = None
    ) -> AsyncGenerator[Found, None]:
        """(index, report or `{"error": ...}`) as they finish, every index exactly once.

        Each item has the fields of POST /verify. Those that are not done at the deadline end as the
        error `deadline_exceeded`. Raises ServiceError where the service cannot be reached or
        refuses the caller. Close it (contextlib.aclosing) if you leave it early.
        """
        run = Run(
            self._connection, self._options, list(items), deadline_s or self._options.deadline_s
        )
        work = asyncio.create_task(run.work())
        try:
            while (found := await run.out.get()) is not None:
                yield found
            await work
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _report(self, fields: Mapping[str, Any], until: float) -> Result:
        batch, patience = Batch([fields], self._options), Patience(self._options, until)
        [chunk] = batch.chunks()
        while True:
            try:
                answer = await self._connection.post("/verify", batch.item_body(0))
            except ServiceError as error:
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(patience.pause_s(error, now))
                continue
            report = batch.take(0, answer)
            if report is not None:
                return report
            await asyncio.sleep(backoff_s(self._options, batch.tries(chunk)))
