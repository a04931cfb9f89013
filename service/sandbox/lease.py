"""A worker that is lent out for one task, and the slot that goes with it."""

import time
from collections.abc import Callable
from typing import Protocol

from service.sandbox.allowance import Allowance
from service.sandbox.frames import Frame
from service.sandbox.process import WorkerDied, WorkerLate, WorkerProcess
from service.sandbox.waiting import Wanted

_LOOK_S, _LATER_LOOK_S = 0.01, 0.25
_TIMES_PATIENCE = 2.0


class Lender(Protocol):
    """What a lease asks of the pool."""

    lower_after_s: float
    """Processor time after which a worker's priority may be lowered at the earliest, seconds."""

    async def replacement(self, worker: WorkerProcess) -> WorkerProcess:
        """Another worker in the place of this one, which is killed."""

    def overdue(self, lease: "Lease") -> None:
        """The lease's statement takes long: others may go first."""

    def low(self) -> int:
        """The priority (nice) that a worker gets then."""

    def may_spare(self) -> bool:
        """Whether one more lease may be spared."""


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
        self.lowered = False
        """Its worker runs at a low priority."""
        self.spared = False
        """Its statement starved: it has its priority back, and keeps it until it has answered."""
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

    async def receive(
        self,
        limit_s: Callable[[], float],
        patience_s: Callable[[], float],
        *,
        end: float = float("inf"),
    ) -> Frame:
        """The next answers; raises WorkerLate, WorkerDied.

        It is late once its item has had `limit_s()` seconds of the processor, or `by_clock_s` of
        them by the clock, or at `end` by the monotonic one, and the grace has passed.
        A worker that has used the processor for longer than `patience_s()` may lose its slot to
        whoever waits; twice as long, and other processes go first. Both are asked for again and
        again, since they depend on the item that is running.
        """
        frame = await self._in_time(limit_s, patience_s, end)
        self.clean = "end" in frame
        self.spared = False
        return frame

    async def _in_time(
        self, limit_s: Callable[[], float], patience_s: Callable[[], float], end: float
    ) -> Frame:
        place, allowance = self.place, Allowance(self.worker.cpu_s)
        while True:
            left_s = max(0.0, end - time.monotonic())
            look_s = _LATER_LOOK_S if self.lowered or self.spared else _LOOK_S
            frame = await self.worker.receive_within(min(look_s, left_s))
            if frame is not None:
                return frame
            cpu_s = self.worker.cpu_s
            if self.place != place:  # The time belongs to the item that is running.
                place, allowance = self.place, Allowance(cpu_s)
            if allowance.over(limit_s(), cpu_s) or time.monotonic() >= end:
                return await self._in_the_grace(starved=not allowance.had(limit_s(), cpu_s))
            if allowance.late(limit_s()) and self.worker.stopped:
                raise WorkerDied(None)
            self._judge_patience(allowance.used_s(cpu_s), patience_s())
            if allowance.starves(limit_s(), cpu_s):
                self._spare()

    async def _in_the_grace(self, *, starved: bool) -> Frame:
        try:
            return await self.worker.receive(self._grace_s)
        except WorkerLate:
            raise WorkerLate(starved=starved) from None

    def _judge_patience(self, used_s: float, patience_s: float) -> None:
        if used_s > patience_s and not self.overdue:
            self._pool.overdue(self)
        longest_s = max(_TIMES_PATIENCE * patience_s, self._pool.lower_after_s)
        if used_s > longest_s and not (self.lowered or self.spared):
            self.worker.lower_priority(self._pool.low())
            self.lowered = True

    def _spare(self) -> None:
        """Give its priority back, so that its time on the processor can tell what it is."""
        if self.lowered and not self.spared and self._pool.may_spare():
            self.spared = True
            self.lowered = not self.worker.restore_priority()

    async def renew(self) -> None:
        """Kill the worker and take a new one; raises Unavailable if none can be started."""
        self.clean = False
        self.worker = await self._pool.replacement(self.worker)
        self.worker.learn(self._wanted.keys)
        self.clean = True
        self.overdue = self.spared = self.lowered = False
