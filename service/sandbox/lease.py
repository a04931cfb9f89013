"""A worker that is lent out for one task, and the slot that goes with it."""

import time
from collections.abc import Callable
from typing import Protocol

from service.sandbox.allowance import Allowance
from service.sandbox.frames import Frame
from service.sandbox.process import WorkerLate, WorkerProcess
from service.sandbox.waiting import Wanted

_LOOK_S = 0.01
_TIMES_PATIENCE = 2.0


class Lender(Protocol):
    """What a lease asks of the pool."""

    lower_after_s: float
    """Processor time after which a worker's priority may be lowered at the earliest, seconds."""

    async def replacement(self, worker: WorkerProcess) -> WorkerProcess:
        """Another worker in the place of this one, which is killed."""

    def overdue(self, lease: "Lease") -> None:
        """The lease's statement takes long: others may go first."""


class Lease:
    """A worker for one task on one database, in one of the pool's slots or set aside."""

    def __init__(
        self, worker: WorkerProcess, pool: Lender, wanted: Wanted, version: str, grace_s: float
    ) -> None:
        self.worker = worker
        self.clean = True
        """False while a task is under way: the worker's state is then unknown."""
        self.overdue = False
        """It has run for longer than its patience: its slot may go to somebody else."""
        self.aside = False
        """It has given its slot to somebody else, and runs on beside the slots."""
        self._lowered = False
        self._pool = pool
        self._grace_s = grace_s
        self._wanted = wanted
        self._where = {"path": wanted.path, "version": version}
        worker.learn(wanted.keys)

    @property
    def place(self) -> int:
        """The item of its task that the worker is at, counted from 0."""
        return self.worker.place

    async def ask(self, task: Frame) -> None:
        """Hand over a task; raises WorkerDied, `renew` before the next task then."""
        self.clean = False
        await self.worker.send(task | self._where)

    async def receive(self, timeout_s: float, patience_s: Callable[[], float]) -> Frame:
        """The next answers, in at most `timeout_s` and the grace; raises WorkerLate, WorkerDied.

        A worker that has used the processor for longer than `patience_s()` without one may lose its
        slot to whoever waits; twice as long, and every other process goes first. The patience
        is asked for again and again, since it depends on the item that is running.
        """
        start_s, until = self.worker.cpu_s, time.monotonic() + timeout_s
        while not self._lowered and (left_s := until - time.monotonic()) > 0:
            frame = await self.worker.receive_within(min(left_s, _LOOK_S))
            if frame is not None:
                self.clean = "end" in frame
                return frame
            self._judge_patience(self.worker.cpu_s - start_s, patience_s())
        frame = await self.worker.receive(max(0.0, until - time.monotonic()) + self._grace_s)
        self.clean = "end" in frame
        return frame

    async def receive_in_time(
        self,
        limit_s: Callable[[], float],
        patience_s: Callable[[], float],
        *,
        first_s: float,
        end: float = float("inf"),
    ) -> Frame:
        """As `receive`, while the running item has not had `limit_s()` seconds of the processor.

        At most `by_clock_s` of it by the clock, and until `end` by the monotonic one; `first_s` is
        the least that `limit_s` may give. One that is kept from the processor gets back the
        priority that it lost. Raises WorkerLate, which says if it starved all the same; WorkerDied.
        """
        allowance, wait_s = Allowance(limit_s, self.worker.cpu_s), first_s
        while True:
            try:
                return await self.receive(max(0.0, min(wait_s, end - time.monotonic())), patience_s)
            except WorkerLate:
                cpu_s = self.worker.cpu_s
                wait_s = allowance.left_s(cpu_s)
                if wait_s <= 0 or time.monotonic() >= end:
                    raise WorkerLate(starved=not allowance.had(cpu_s)) from None
                if allowance.starves(cpu_s):
                    self.worker.restore_priority()

    def _judge_patience(self, used_s: float, patience_s: float) -> None:
        if used_s > patience_s and not self.overdue:
            self._pool.overdue(self)
        if used_s > max(_TIMES_PATIENCE * patience_s, self._pool.lower_after_s):
            self.worker.lower_priority()
            self._lowered = True

    async def renew(self) -> None:
        """Kill the worker and take a new one; raises Unavailable if none can be started."""
        self.clean = False
        self.worker = await self._pool.replacement(self.worker)
        self.worker.learn(self._wanted.keys)
        self.clean = True
        self.overdue = self._lowered = False
