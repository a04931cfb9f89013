"""Worker slots, lent out one task at a time; a killed worker is replaced.

There are as many slots as workers were asked for. A lease keeps its slot while its worker is
replaced, so a task that loses its worker does not queue again. A lease whose statement takes long
gives its slot to whoever waits and runs on, in the end at the lowest priority: endless statements
neither block the queue nor take the processor from the others. There is a bound on those too;
beyond it they keep their slots. Whoever waits, waits for a bounded time in a bounded queue.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service.errors import DatabaseUnusable, NoFreeWorker, Unavailable
from service.sandbox.fileversion import version_of
from service.sandbox.lease import Lease
from service.sandbox.limits import Limits
from service.sandbox.process import WorkerProcess
from service.sandbox.waiting import Waiter, Wanted, choose

_RESTART_PAUSE_S = 0.5
ASIDE = 8  # leases beside the slots, for each slot
SPARE = 2
"""Idle workers beyond the slots: who finds all slots taken by long statements need not wait for a
process to start."""
_LOWER_AFTER_S = 0.25
_LOWEST, _MILD = 19, 3
"""Of priorities (nice). Where a priority cannot be raised again: beside one busy process a third of
a processor is left, at which a statement still has its limit within its time by the clock."""
_STARTING = 2  # processes that start at once: more would keep the others from the processor
_RESTOCK_AFTER_S = 0.25
"""What is set aside mostly ends sooner: its worker is the spare one then, and none had to start."""


class Pool:
    """The workers. `start` before the first lease, `close` ends everything, waiting leases too."""

    def __init__(
        self, workers: int, limits: Limits, max_queued: int, queue_timeout_s: float
    ) -> None:
        self.limits = limits
        self.replaced = 0
        self.lower_after_s = 0.0
        self._raises = True
        self.engine_version = ""
        self._size = workers
        self._max_queued = max_queued
        self._queue_timeout_s = queue_timeout_s
        self._slots = workers
        self._idle: list[WorkerProcess] = []
        self._leases: dict[Lease, None] = {}
        self._waiting: deque[Waiter] = deque()
        self._background: set[asyncio.Task[None]] = set()
        self._starting = 0
        self._wake: asyncio.TimerHandle | None = None
        self._restock: asyncio.TimerHandle | None = None
        self._closing = False

    async def start(self) -> None:
        """Start the workers; raises Unavailable, and leaves none behind, if one cannot start."""
        starts = [self._started() for _ in range(self._size + SPARE)]
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
        for timer in (self._wake, self._restock):
            if timer:
                timer.cancel()
        while self._waiting:
            _refuse(self._waiting.popleft(), _stopping())
        workers = [*self._idle, *(lease.worker for lease in self._leases)]
        self._idle = []
        await asyncio.gather(*(worker.kill() for worker in workers))
        while self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    def pids(self) -> list[int]:
        """Process ids of the workers that are alive, busy ones first."""
        workers = [*(lease.worker for lease in self._leases), *self._idle]
        return [worker.pid for worker in workers if worker.exit_code is None]

    @property
    def busy(self) -> int:
        """Workers with a task."""
        return len(self._leases)

    @property
    def aside(self) -> int:
        """Tasks that run beside the slots."""
        return sum(lease.aside for lease in self._leases)

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker."""
        return len(self._waiting)

    @asynccontextmanager
    async def lease(self, wanted: Wanted) -> AsyncIterator[Lease]:
        """Borrow a worker; raises NoFreeWorker, DatabaseUnusable, or Unavailable while closing."""
        file_version(wanted.path)  # refused before it waits for nothing
        worker = await self._take(wanted)
        try:
            # Only now, since the file may have been replaced while the task waited.
            version = file_version(wanted.path)
        except DatabaseUnusable:
            self._slots += 1
            self._keep(worker)
            raise
        lease = Lease(worker, self, wanted, version, self.limits.kill_grace_s)
        self._leases[lease] = None
        try:
            self._refuse_if_closing()  # it may have begun between the worker's choice and now
            if lease.worker.exit_code is not None:
                await lease.renew()  # killed while it was idle
            yield lease
        finally:
            self._end(lease)

    async def replacement(self, worker: WorkerProcess) -> WorkerProcess:
        """Another worker in the place of this one, which is killed."""
        await worker.kill()
        self.replaced += 1
        self._refuse_if_closing()
        new = await self._spare() or await self._started()
        if self._closing:
            await new.kill()
            self._refuse_if_closing()
        return new

    async def _spare(self) -> WorkerProcess | None:
        """An idle worker that no slot needs. It is asked first: who killed one may have killed all,
        and two dead workers in a row would be held against the statement."""
        for _ in range(SPARE):  # not for as long as there are any: new ones come meanwhile
            if len(self._idle) <= self._slots:
                break
            worker = self._idle.pop()
            self._start_spare()
            if await worker.answers():
                return worker
            self._in_background(worker.kill())
        return None

    async def _started(self) -> WorkerProcess:
        """A new worker, whose end will be noticed; raises Unavailable."""
        worker = await WorkerProcess.start(self.limits)
        self._in_background(self._watch(worker))
        return worker

    async def _watch(self, worker: WorkerProcess) -> None:
        await worker.ended()
        if worker in self._idle:
            self._idle.remove(worker)
            self.replaced += 1
            self._start_spare()
            self._dispatch()

    def overdue(self, lease: Lease) -> None:
        """The lease's slot may go to the next who waits."""
        lease.overdue = True
        self._dispatch()

    def low(self) -> int:
        """The priority of the next that is lowered: mild for as many as there are slots where it
        could not be raised again, since they may starve."""
        lowered = sum(lease.lowered for lease in self._leases)
        if self._raises or lowered >= self._size:
            return _LOWEST
        return min(_LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + _MILD)

    def may_spare(self) -> bool:
        """As many as there are slots: more would take the processor from those that are quick."""
        return sum(lease.spared for lease in self._leases) < self._size

    # -- the queue ---------------------------------------------------------------------------

    async def _take(self, wanted: Wanted) -> WorkerProcess:
        """A worker and a slot; raises NoFreeWorker, Unavailable."""
        self._refuse_if_closing()
        waiter = Waiter(wanted)
        self._waiting.append(waiter)
        self._dispatch()
        if not waiter.worker.done() and len(self._waiting) > self._max_queued:
            self._waiting.remove(waiter)
            raise NoFreeWorker(
                f"all {self._size} SQL workers are busy and {len(self._waiting)} tasks wait",
                retry_after_s=1,
            )
        if waiter.worker.done():
            return waiter.worker.result()
        try:
            async with asyncio.timeout(self._queue_timeout_s):
                return await asyncio.shield(waiter.worker)
        except TimeoutError:
            self._forget(waiter)
            raise NoFreeWorker(
                f"no SQL worker was free within {self._queue_timeout_s:g} s", retry_after_s=5
            ) from None
        except asyncio.CancelledError:
            self._forget(waiter)
            raise

    def _forget(self, waiter: Waiter) -> None:
        """Somebody does not wait any more; what came for it at that moment goes to the next."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
        elif waiter.worker.done() and not waiter.worker.exception():
            self._idle.append(waiter.worker.result())
            self._slots += 1
            self._dispatch()

    def _dispatch(self) -> None:
        """Give workers to those who wait, as far as there are slots and workers."""
        while self._waiting and not self._closing:
            if not self._slots and not self._set_aside():
                return
            if not self._idle:
                self._start_spare()
                return
            busy = [lease.worker for lease in self._leases]
            choice = choose(self._waiting, self._idle, busy)
            if not choice.waiter or not choice.worker:
                self._wake_in(choice.wait_s)
                return
            self._waiting.remove(choice.waiter)
            self._idle.remove(choice.worker)
            self._slots -= 1
            choice.waiter.worker.set_result(choice.worker)

    def _set_aside(self) -> bool:
        """Take the slot of a lease that is overdue; False where there is none, or no room."""
        if self.aside >= ASIDE * self._size:
            return False
        for lease in self._leases:
            if lease.overdue and not lease.aside:
                lease.aside = True
                self._slots += 1
                self._start_spare_later()
                return True
        return False

    def _wake_in(self, wait_s: float) -> None:
        if self._wake:
            self._wake.cancel()
        self._wake = asyncio.get_running_loop().call_later(wait_s, self._dispatch)

    # -- workers come and go -----------------------------------------------------------------

    def _end(self, lease: Lease) -> None:
        """Take back what was lent; in the background where that takes time: callers must not wait,
        since they may have been cancelled."""
        lease.lowered = lease.spared = False
        restored = lease.worker.restore_priority()
        if not restored:
            # Not allowed here, so each lowered worker has to be replaced: lower fewer, and less.
            self.lower_after_s = _LOWER_AFTER_S
            self._raises = False
        if lease.clean and not self._closing and restored:
            del self._leases[lease]
            self._free_slot(lease)
            self._keep(lease.worker)
        else:
            self._in_background(self._mend(lease))

    async def _mend(self, lease: Lease) -> None:
        """Replace a lease's worker, and only then free its slot."""
        while not self._closing:
            try:
                if lease.aside:
                    await lease.worker.kill()
                    self.replaced += 1
                    del self._leases[lease]
                    self._start_spare()
                    return self._dispatch()
                worker = await self.replacement(lease.worker)
                del self._leases[lease]
                self._free_slot(lease)
                return self._keep(worker)
            except (Unavailable, OSError):
                # Short of memory or processes: the other workers go on, and so do we in a moment.
                await asyncio.sleep(_RESTART_PAUSE_S)
        await lease.worker.kill()
        self._leases.pop(lease, None)

    def _free_slot(self, lease: Lease) -> None:
        self._slots += not lease.aside

    def _keep(self, worker: WorkerProcess) -> None:
        """One more idle worker, unless there are enough."""
        if len(self._idle) < self._slots + SPARE:
            self._idle.append(worker)
        else:
            self._in_background(worker.kill())
        self._dispatch()

    def _start_spare(self) -> None:
        """Workers for slots that have none since their leases are aside, and the spare ones."""
        missing = self._slots + SPARE - len(self._idle)
        while self._starting < min(missing, _STARTING) and not self._closing:
            self._starting += 1
            self._in_background(self._start_one())

    def _start_spare_later(self) -> None:
        if not self._restock:
            loop = asyncio.get_running_loop()
            self._restock = loop.call_later(_RESTOCK_AFTER_S, self._restocked)

    def _restocked(self) -> None:
        self._restock = None
        self._start_spare()

    async def _start_one(self) -> None:
        try:
            worker = await self._started()
        except (Unavailable, OSError):
            # Short of memory or processes: whoever ends gives back a worker; then again.
            self._wake_in(_RESTART_PAUSE_S)
            return
        finally:
            self._starting -= 1
        if self._closing:
            return await worker.kill()
        self._keep(worker)
        self._start_spare()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _refuse_if_closing(self) -> None:
        if self._closing:
            raise _stopping()


def _stopping() -> Unavailable:
    return Unavailable("the service is stopping", retry_after_s=5)


def _refuse(waiter: Waiter, error: Exception) -> None:
    if not waiter.worker.done():
        waiter.worker.set_exception(error)


def file_version(path: str) -> str:
    """Changes when the file is replaced or written; raises DatabaseUnusable if it is gone."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise DatabaseUnusable(
            f"the database file of {Path(path).stem!r} cannot be read: {error.strerror}",
            param="db_id",
        ) from error
    return version_of(stat)
