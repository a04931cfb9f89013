"""Work that goes on to its end though the caller who waits for it is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_R = TypeVar("_R")


class Errands:
    """Such work that is under way, of one owner, who waits for it before he goes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Coroutine[Any, Any, _R]) -> _R:
        """Its value or exception; a cancelled caller gets CancelledError at once, alone."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def end(self) -> None:
        """Returns when nothing is under way; what fails by then is the caller's who left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # Looked at: nobody is left to whom asyncio would have to complain.
