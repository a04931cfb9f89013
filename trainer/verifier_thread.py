"""The verifier for code that is not async: its event loop runs in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from service.errors import DatabaseUnusable, Unavailable, UnsupportedValue
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.copies import Copies
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier
from trainer.altered import build, settled

A = TypeVar("A")
T = TypeVar("T")


class VerifierThread:
    """Registry, executor and verifier on one loop, from `with` to the end of it.

    The sandbox's worker processes belong to the loop that started them and to the thread that it
    runs in, so both live as long as they do.
    """

    def __init__(
        self,
        data_dirs: Sequence[Path],
        *,
        workers: int,
        limits: Limits,
        copies_path: Path | None = None,
    ) -> None:
        """`copies_path` is where altered copies of databases are kept; None knows no `robust`."""
        self.registry = DatabaseRegistry.scan(data_dirs)
        self.executor = Executor(workers=workers, limits=limits)
        self._copies = Copies(copies_path, memory_mb=limits.memory_mb) if copies_path else None
        self._verifier = Verifier(self.registry, self.executor, copies=self._copies)
        # More tasks than workers would only wait, and waiting in the executor has a time limit.
        self._at_once = asyncio.Semaphore(workers)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="verifier", daemon=True)

    def __enter__(self) -> "VerifierThread":
        self._thread.start()
        self.run(self.executor.start())
        return self

    def __exit__(self, *_: object) -> None:
        if self._copies:
            self.run(self._copies.close())
        self.run(self.executor.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def version(self) -> str:
        """The verifier's version, which changes whenever a verdict might."""
        return self._verifier.version

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait; cancelled if the wait is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def verify(self, tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        """Verify all tasks, as many at once as there are workers; reports in order.

        With `robust` a match that was not tried on all copies is masked (trainer/altered.py).
        """
        return self.run(self._verify_all(tasks))

    def build_copies(self, db_ids: Iterable[str], instances: int) -> dict[str, bool]:
        """Build so many altered copies of each database, or find them; False where it cannot be.

        Needs `copies_path`. Raises NoDiskSpace.
        """
        copies, registry = self._copies, self.registry
        if copies is None:
            raise UnsupportedValue("this verifier has no folder for altered copies")
        names = sorted(set(db_ids))
        found = self.run_each(lambda db_id: build(copies, registry, db_id, instances), names)
        return dict(zip(names, found, strict=True))

    def run_each(self, work: Callable[[A], Coroutine[Any, Any, T]], on: Sequence[A]) -> list[T]:
        """Run `work` on each, on as many at once as there are workers; results in order."""
        return self.run(self._run_each(work, on))

    async def _run_each(
        self, work: Callable[[A], Coroutine[Any, Any, T]], on: Sequence[A]
    ) -> list[T]:
        async def bounded(item: A) -> T:
            async with self._at_once:
                return await work(item)

        return await asyncio.gather(*(bounded(item) for item in on))

    async def _verify_all(self, tasks: Sequence[VerifyTask]) -> list[VerifyReport]:
        return await asyncio.gather(*(self._verify(task) for task in tasks))

    async def _verify(self, task: VerifyTask) -> VerifyReport:
        async with self._at_once:
            if task.robust is None:
                return await self._verifier.verify(task)
            report = await self._on_copies(task)
            return replace(report, verdicts=[settled(verdict) for verdict in report.verdicts])

    async def _on_copies(self, task: VerifyTask) -> VerifyReport:
        try:
            return await self._verifier.verify(task)
        except (DatabaseUnusable, Unavailable) as error:
            # Copies that were there before training and are not to be had again: no reason to end
            # a run. Whatever else it was is raised a second time.
            logging.getLogger("trainer").warning("%s", error.message)
            return await self._verifier.verify(replace(task, robust=None))
