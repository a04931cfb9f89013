"""Work on a job that takes longer than a look: one task a job, asked for again at every look."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """Tasks by job id; `wake` is called when one has ended."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}
        self._wake = wake

    def ended(
        self, job_id: str, work: Callable[[], Coroutine[Any, Any, T]]
    ) -> asyncio.Task[T] | None:
        """The job's task once it has ended, and is forgotten then; started if there is none."""
        task = self._tasks.get(job_id)
        if task is None:
            task = self._tasks[job_id] = asyncio.create_task(work())
            task.add_done_callback(lambda _: self._wake())
        return self._tasks.pop(job_id) if task.done() else None

    async def drop(self, job_id: str) -> None:
        """Cancel the job's task, if there is one, and wait for that."""
        task = self._tasks.pop(job_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # Looked at, so that asyncio does not report it as forgotten.

    async def drop_all(self) -> None:
        """As `drop`, for every job."""
        for job_id in list(self._tasks):
            await self.drop(job_id)
