"""One call for many items, from the first request to the last result."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from service.client.batch import Batch
from service.client.connection import Connection
from service.client.errors import ServiceError
from service.client.options import Options
from service.client.patience import Patience, backoff_s, out_of_time
from service.client.wire import Result, bad_answer, error_item

Found = tuple[int, Result]
_PATH = "/verify/batch"


class Run:
    """Several requests at a time; what has ended is put into `out`, and None at the end."""

    def __init__(
        self,
        connection: Connection,
        options: Options,
        items: Sequence[Mapping[str, Any]],
        deadline_s: float,
    ) -> None:
        self.out: asyncio.Queue[Found | None] = asyncio.Queue()
        self._connection = connection
        self._options = options
        self._deadline_s = deadline_s
        self._until = asyncio.get_running_loop().time() + deadline_s
        self._batch = Batch(items, options)

    async def work(self) -> None:
        """Until every item has a result; raises ServiceError where there is no use in going on."""
        chunks = self._batch.chunks()
        try:
            async with asyncio.timeout_at(self._until), asyncio.TaskGroup() as group:
                for _ in range(self._options.concurrency):
                    group.create_task(self._settle_each(chunks))
        except TimeoutError:
            self._give_up(self._batch.unanswered(), out_of_time(self._deadline_s))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            self.out.put_nowait(None)

    async def _settle_each(self, chunks: Iterator[list[int]]) -> None:
        for chunk in chunks:
            try:
                await self._settle(chunk)
            except ServiceError as error:
                if error.code != "deadline_exceeded":
                    raise
                self._give_up(self._batch.still_open(chunk), error)

    async def _settle(self, chunk: list[int]) -> None:
        """Send a request until each of its items has a final result; only the rest each time."""
        patience = Patience(self._options, self._until)
        while chunk:
            try:
                await self._ask(chunk, patience)
            except ServiceError as error:
                chunk = self._batch.still_open(chunk)
                if error.status == 413:
                    return await self._halve(chunk, error)
                now = asyncio.get_running_loop().time()
                await asyncio.sleep(patience.pause_s(error, now))
            else:
                chunk = self._batch.still_open(chunk)
                if chunk:
                    await asyncio.sleep(backoff_s(self._options, self._batch.tries(chunk)))

    async def _ask(self, chunk: Sequence[int], patience: Patience) -> None:
        missing = set(range(len(chunk)))
        body = self._batch.body(chunk)
        async with aclosing(self._connection.lines(_PATH, body)) as lines:
            async for line in lines:
                number = line.pop("index", None)
                if number not in missing:
                    raise bad_answer(str(line).encode())
                missing.remove(number)
                patience.progress()
                result = self._batch.take(chunk[number], line)
                if result is not None:
                    self.out.put_nowait((chunk[number], result))
        if missing:
            raise ServiceError("broken_connection", f"{len(missing)} results did not come")

    async def _halve(self, chunk: list[int], error: ServiceError) -> None:
        """For a server that takes less in one request than we thought."""
        if len(chunk) == 1:
            return self._give_up(chunk, error)
        middle = len(chunk) // 2
        for half in (chunk[:middle], chunk[middle:]):
            await self._settle(half)

    def _give_up(self, places: Sequence[int], error: ServiceError) -> None:
        for place in places:
            self.out.put_nowait((place, self._batch.end(place, error_item(error))))
