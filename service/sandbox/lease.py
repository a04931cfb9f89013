"""A worker that is lent out for one task, and the slot that goes with it."""

from typing import Protocol

from service.sandbox.frames import Frame
from service.sandbox.process import WorkerProcess
from service.sandbox.waiting import Wanted


class Lender(Protocol):
    """What a lease asks of the pool."""

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
        """It has run for longer than its patience: its priority is lowered."""
        self.aside = False
        """It has given its slot to somebody else, and runs on beside the slots."""
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

    async def receive(self, timeout_s: float, patience_s: float) -> Frame:
        """The next answers, in at most `timeout_s` and the grace; raises WorkerLate, WorkerDied.

        After `patience_s` without one the worker has to let others go first.
        """
        frame = None
        if not self.overdue and patience_s < timeout_s:
            frame = await self.worker.receive_within(patience_s)
            timeout_s -= patience_s
            if frame is None:
                self._pool.overdue(self)
        frame = frame or await self.worker.receive(timeout_s + self._grace_s)
        self.clean = "end" in frame
        return frame

    async def renew(self) -> None:
        """Kill the worker and take a new one; raises Unavailable if none can be started."""
        self.clean = False
        self.worker = await self._pool.replacement(self.worker)
        self.worker.learn(self._wanted.keys)
        self.clean = True
        self.overdue = False
