"""A fixed number of worker slots, lent out one task at a time; a killed worker is replaced.

A lease keeps its slot while its worker is replaced, so a task that loses its worker does not queue
again. Whoever waits for a slot waits in order, for a bounded time, in a bounded queue.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from service.errors import DatabaseUnusable, NoFreeWorker, Unavailable
from service.sandbox.frames import Frame
from service.sandbox.limits import Limits
from service.sandbox.process import WorkerProcess

_RESTART_PAUSE_S = 0.5


class Lease:
    """A slot with its worker, for one task on one database."""

    def __init__(self, worker: WorkerProcess, pool: "Pool", database: Path) -> None:
        self.worker = worker
        self.clean = True
        """False while a task is under way: the worker's state is then unknown."""
        self._pool = pool
        self._where = {"path": str(database), "version": file_version(database)}

    @property
    def place(self) -> int:
        """The item of its task that the worker is at, counted from 0."""
        return self.worker.place

    async def ask(self, task: Frame) -> None:
        """Hand over a task; raises WorkerDied, `renew` before the next task then."""
        self.clean = False
        await self.worker.send(task | self._where)

    async def receive(self, timeout_s: float) -> Frame:
        """The next answers, in at most `timeout_s` and the grace; raises WorkerLate, WorkerDied."""
        frame = await self.worker.receive(timeout_s + self._pool.limits.kill_grace_s)
        self.clean = "end" in frame
        return frame

    async def renew(self) -> None:
        """Kill the worker and take a new one; raises Unavailable if none can be started."""
        self.clean = False
        self.worker = await self._pool.replacement(self.worker)
        self.clean = True


class Pool:
    """The workers. `start` before the first lease, `close` ends everything, waiting leases too."""

    def __init__(
        self, workers: int, limits: Limits, max_queued: int, queue_timeout_s: float
    ) -> None:
        self.limits = limits
        self.replaced = 0
        self.queued = 0
        self.engine_version = ""
        self._size = workers
        self._max_queued = max_queued
        self._queue_timeout_s = queue_timeout_s
        self._idle: list[WorkerProcess] = []
        self._leases: set[Lease] = set()
        self._mending: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(workers)
        self._closing = False

    async def start(self) -> None:
        """Start the workers; raises Unavailable, and leaves none behind, if one cannot start."""
        starts = [WorkerProcess.start(self.limits) for _ in range(self._size)]
        results = await asyncio.gather(*starts, return_exceptions=True)
        self._idle = [worker for worker in results if isinstance(worker, WorkerProcess)]
        for failure in results:
            if isinstance(failure, BaseException):
                await self.close()
                raise failure
        self.engine_version = self._idle[0].engine_version

    async def close(self) -> None:
        """Kill every worker and refuse whoever waits."""
        self._closing = True
        for _ in range(self.queued):
            self._slots.release()
        workers = [*self._idle, *(lease.worker for lease in self._leases)]
        self._idle = []
        await asyncio.gather(*(worker.kill() for worker in workers))
        while self._mending:
            await asyncio.gather(*self._mending, return_exceptions=True)

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive."""
        workers = [*self._idle, *(lease.worker for lease in self._leases)]
        return [worker.pid for worker in workers if worker.exit_code is None]

    @property
    def busy(self) -> int:
        """Workers with a task."""
        return len(self._leases)

    @asynccontextmanager
    async def lease(self, database: Path) -> AsyncIterator[Lease]:
        """Borrow a worker; raises NoFreeWorker, DatabaseUnusable, or Unavailable while closing."""
        await self._wait_for_slot()
        try:
            lease = Lease(self._take(str(database)), self, database)
        except DatabaseUnusable:
            self._slots.release()
            raise
        self._idle.remove(lease.worker)
        self._leases.add(lease)
        try:
            if lease.worker.exit_code is not None:
                await lease.renew()  # killed while it was idle
            yield lease
        finally:
            if lease.clean and not self._closing:
                self._give_back(lease, lease.worker)
            else:
                # In the background: the caller may have been cancelled, and must not wait.
                self._mending.add(task := asyncio.create_task(self._mend(lease)))
                task.add_done_callback(self._mending.discard)

    async def replacement(self, worker: WorkerProcess) -> WorkerProcess:
        """Another worker in the place of this one, which is killed."""
        await worker.kill()
        self.replaced += 1
        self._refuse_if_closing()
        path, new = worker.last_path, await WorkerProcess.start(self.limits)
        new.last_path = path
        if self._closing:
            await new.kill()
            self._refuse_if_closing()
        return new

    async def _mend(self, lease: Lease) -> None:
        """Replace a lease's worker, and only then free its slot."""
        while not self._closing:
            try:
                return self._give_back(lease, await self.replacement(lease.worker))
            except (Unavailable, OSError):
                # Short of memory or processes: the other workers go on, and so do we in a moment.
                await asyncio.sleep(_RESTART_PAUSE_S)
        await lease.worker.kill()
        self._leases.discard(lease)

    def _give_back(self, lease: Lease, worker: WorkerProcess) -> None:
        self._leases.discard(lease)
        self._idle.append(worker)
        self._slots.release()

    async def _wait_for_slot(self) -> None:
        self._refuse_if_closing()
        if self._slots.locked() and self.queued >= self._max_queued:
            raise NoFreeWorker(
                f"all {self._size} SQL workers are busy and {self.queued} tasks wait",
                retry_after_s=1,
            )
        self.queued += 1
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NoFreeWorker(
                f"no SQL worker was free within {self._queue_timeout_s:g} s", retry_after_s=5
            ) from None
        finally:
            self.queued -= 1
        self._refuse_if_closing()

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise Unavailable("the service is stopping", retry_after_s=5)

    def _take(self, path: str) -> WorkerProcess:
        """An idle worker, rather one that knows this database."""
        known = (worker for worker in self._idle if worker.last_path == path)
        worker = next(known, self._idle[0])
        worker.last_path = path
        return worker


def file_version(path: Path) -> str:
    """Changes when the file is replaced or written; raises DatabaseUnusable if it is gone."""
    try:
        stat = path.stat()
    except OSError as error:
        raise DatabaseUnusable(
            f"the database file of {path.stem!r} cannot be read: {error.strerror}", param="db_id"
        ) from error
    return f"{stat.st_dev}-{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
