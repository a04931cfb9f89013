"""Run untrusted SQL in a pool of warm worker processes.

Covered: a statement that runs too long, uses too much memory, crashes its process, or tries to
change anything ends as a status, and the next task finds a healthy worker. The parent kills a
worker that misses a deadline and starts another; nothing is shared between gold and prediction.
Not covered: this is no kernel sandbox. A flaw in SQLite itself that runs code would run it as this
user, without files to write but with files to read; containers are the outer wall.

Only "no free worker" raises; everything else is a value.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

from service.errors import DatabaseUnusable, NoFreeWorker, Unavailable
from service.sandbox.frames import Frame
from service.sandbox.limits import Limits
from service.sandbox.process import WorkerDied, WorkerLate, WorkerProcess
from service.sandbox.result import Described, QueryResult

_COMPILE_TIMEOUT_S = 5.0
_RESTART_PAUSE_S = 0.5
_TRIES = 2  # a worker's death is the statement's own doing if it happens twice


class Executor:
    """A fixed number of workers; tasks queue for them up to a bound."""

    def __init__(
        self,
        *,
        workers: int,
        limits: Limits,
        max_queued: int = 256,
        queue_timeout_s: float = 60.0,
    ) -> None:
        self.limits = limits
        self.engine_version = ""
        self.replaced = 0
        self._size = workers
        self._max_queued = max_queued
        self._queue_timeout_s = queue_timeout_s
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._closing = False
        self._slots = asyncio.Semaphore(workers)
        self._queued = 0

    async def start(self) -> None:
        """Start the workers; raises Unavailable if one cannot start."""
        started = [WorkerProcess.start(self.limits) for _ in range(self._size)]
        self._idle = list(await asyncio.gather(*started))
        self.engine_version = self._idle[0].engine_version

    async def close(self) -> None:
        """Kill every worker; nothing is left behind."""
        self._closing = True
        await asyncio.gather(*self._replacing)
        await asyncio.gather(*(worker.kill() for worker in [*self._idle, *self._busy]))
        self._idle = []

    async def __aenter__(self) -> "Executor":
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        return [w.pid for w in [*self._idle, *self._busy] if w.exit_code is None]

    @property
    def busy(self) -> int:
        """Workers with a task."""
        return len(self._busy)

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker."""
        return self._queued

    async def query(
        self,
        database: Path,
        sql: str,
        *,
        timeout_s: float,
        max_rows: int,
        max_bytes: int = 1_048_576,
    ) -> QueryResult:
        """Run one read-only statement, at most `max_rows` rows and about `max_bytes` bytes."""
        task = {"op": "query", "sql": sql, "timeout_s": timeout_s}
        bounds = {"max_rows": max_rows, "max_bytes": max_bytes}
        return QueryResult(**await self._single(database, task | bounds, timeout_s))

    async def describe(self, database: Path, sql: str) -> Described:
        """Compile a statement without running it."""
        task = {"op": "describe", "sql": sql, "timeout_s": _COMPILE_TIMEOUT_S}
        return Described(**await self._single(database, task, _COMPILE_TIMEOUT_S))

    async def _single(self, database: Path, task: Frame, timeout_s: float) -> Frame:
        for _ in range(_TRIES):
            answers: list[Frame] = []
            try:
                await self.run(database, task, lambda _: timeout_s, answers)
                return answers[0]
            except WorkerLate:
                return {"status": "timeout", "message": f"stopped after {timeout_s:g} s"}
            except WorkerDied:
                continue
        return {"status": "infra_error", "message": "the statement ended its worker process twice"}

    async def run(
        self,
        database: Path,
        task: Frame,
        timeout_s: Callable[[int], float],
        answers: list[Frame],
    ) -> None:
        """Run one task; its answers are added to `answers` as they come.

        `timeout_s(n)` bounds the wait for answer n. Raises WorkerLate or WorkerDied with the
        answers so far in place (the worker is replaced), NoFreeWorker, DatabaseUnusable.
        """
        where = {"path": str(database), "version": file_version(database)}
        async with self._worker(str(database)) as worker:
            await worker.send(task | where)
            grace = self.limits.kill_grace_s
            while "end" not in (answer := await worker.receive(timeout_s(len(answers)) + grace)):
                answers.append(answer)

    @asynccontextmanager
    async def _worker(self, path: str) -> AsyncIterator[WorkerProcess]:
        """Borrow a worker; one whose task did not end well is killed and replaced."""
        await self._wait_for_slot()
        worker = self._take(path)
        self._busy.add(worker)
        try:
            yield worker
        except BaseException:
            # Its state is unknown: deadline, crash, or a caller that went away.
            self._replacing.add(task := asyncio.create_task(self._replace(worker)))
            task.add_done_callback(self._replacing.discard)
            raise
        self._busy.discard(worker)
        self._idle.append(worker)
        self._slots.release()

    async def _wait_for_slot(self) -> None:
        if self._slots.locked() and self._queued >= self._max_queued:
            raise NoFreeWorker(
                f"all {self._size} SQL workers are busy and {self._queued} tasks wait",
                retry_after_s=1,
            )
        self._queued += 1
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NoFreeWorker(
                f"no SQL worker was free within {self._queue_timeout_s:g} s", retry_after_s=5
            ) from None
        finally:
            self._queued -= 1

    def _take(self, path: str) -> WorkerProcess:
        """An idle worker, rather one that knows this database."""
        known = (worker for worker in self._idle if worker.last_path == path)
        worker = next(known, self._idle[0])
        self._idle.remove(worker)
        worker.last_path = path
        return worker

    async def _replace(self, worker: WorkerProcess) -> None:
        """Kill, start another, and only then free the slot."""
        await worker.kill()
        self._busy.discard(worker)
        self.replaced += 1
        while not self._closing:
            try:
                self._idle.append(await WorkerProcess.start(self.limits))
                self._slots.release()
                return
            except (Unavailable, OSError):
                # Short of memory or processes: the other workers go on, and so do we in a moment.
                await asyncio.sleep(_RESTART_PAUSE_S)


def file_version(path: Path) -> str:
    """Changes when the file is replaced or written; raises DatabaseUnusable if it is gone."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DatabaseUnusable(
            f"the database file of {path.stem!r} cannot be read: {error.strerror}", param="db_id"
        ) from error
    return f"{stat.st_dev}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
