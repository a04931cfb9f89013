"""Judge one group, gold against predictions, and go on when a worker has to be killed in between.

The worker answers item by item, so when it is late or dead the item at fault is known. A late one
is a timeout. A deadly one is tried once more, since the cause may have come from outside; then it
is `exec_error` if it crashed the engine, `infra_error` if somebody killed the worker.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import Unavailable
from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.pool import Lease
from service.sandbox.process import WorkerDied, WorkerLate

_TRIES = 2


@dataclass(frozen=True, slots=True)
class Group:
    """What to judge: distinct predictions, and the seconds for each statement and for all."""

    golds: tuple[str, ...]
    predictions: tuple[str, ...]
    metrics: tuple[str, ...]
    timeout_s: float
    gold_timeout_s: float
    group_timeout_s: float


@dataclass(slots=True)
class Judged:
    """Answers so far: golds by their place, predictions in order (none if no gold is usable)."""

    golds: dict[int, Frame] = field(default_factory=dict)
    predictions: list[Frame] = field(default_factory=list)


async def judge(executor: Executor, database: Path, group: Group) -> Judged:
    """All answers for a group; raises NoFreeWorker, DatabaseUnusable, Unavailable."""
    judged, deaths = Judged(), Counter[tuple[int, int]]()
    async with executor.lease(database) as lease:
        end = time.monotonic() + group.group_timeout_s
        while True:
            visit = _Visit(group, judged, end)
            try:
                await visit.make(lease)
            except WorkerLate:
                visit.blame(_OVERDUE if time.monotonic() >= end else _LATE)
            except WorkerDied as death:
                deaths[visit.place] += 1
                if deaths[visit.place] >= _TRIES:
                    visit.blame(_DEADLY if death.by_its_own_fault else _KILLED)
            if visit.nothing_left():
                return judged
            if time.monotonic() >= end or not await _renewed(lease):
                return visit.give_up()


async def _renewed(lease: Lease) -> bool:
    try:
        await lease.renew()
    except (Unavailable, OSError):
        return False
    return True


_LATE = {"status": "timeout", "message": "stopped at the deadline, its worker killed"}
_DEADLY = {"status": "exec_error", "message": "the statement crashed its worker process twice"}
_KILLED = {"status": "infra_error", "message": "its worker process was killed from outside, twice"}
_OVERDUE = {"status": "infra_error", "message": "not judged: the time for the whole group is over"}


class _Visit:
    """One task at one worker: the golds not known to fail, the predictions not yet judged."""

    def __init__(self, group: Group, judged: Judged, end: float) -> None:
        self._group = group
        self._judged = judged
        self._end = end
        self._asked = [n for n in range(len(group.golds)) if not _failed(judged.golds.get(n))]
        self._golds_to_come = list(self._asked)
        self._since = time.perf_counter()

    async def make(self, lease: Lease) -> None:
        """Ask and take down every answer; raises WorkerLate, WorkerDied."""
        task = {
            "op": "verify",
            "golds": [self._group.golds[n] for n in self._asked],
            "predictions": self._group.predictions[len(self._judged.predictions) :],
            "metrics": self._group.metrics,
            "timeout_s": self._group.timeout_s,
            "gold_timeout_s": self._group.gold_timeout_s,
        }
        async for answer in lease.ask(task, self._timeout_s):
            self._take(answer.get("gold") or answer["prediction"])

    @property
    def place(self) -> tuple[int, int]:
        """Which item is running: (golds to come, predictions judged)."""
        return (len(self._golds_to_come), len(self._judged.predictions))

    def blame(self, answer: Frame) -> None:
        """Answer in the place of the item that was running."""
        elapsed_ms = round((time.perf_counter() - self._since) * 1000, 3)
        self._take(answer | {"elapsed_ms": elapsed_ms})

    def nothing_left(self) -> bool:
        """True when every prediction is judged, or no gold can be."""
        all_failed = all(_failed(self._judged.golds.get(n)) for n in range(len(self._group.golds)))
        return all_failed or len(self._judged.predictions) == len(self._group.predictions)

    def give_up(self) -> Judged:
        """The rest cannot be judged any more: masked, to be sent again."""
        for n in range(len(self._group.golds)):
            self._judged.golds.setdefault(n, _OVERDUE)
        left = len(self._group.predictions) - len(self._judged.predictions)
        self._judged.predictions += [_OVERDUE] * left
        return self._judged

    def _take(self, answer: Frame) -> None:
        if self._golds_to_come:
            self._judged.golds[self._golds_to_come.pop(0)] = answer
        else:
            self._judged.predictions.append(answer)
        self._since = time.perf_counter()

    def _timeout_s(self, _answered: int) -> float:
        group = self._group
        own = group.gold_timeout_s if self._golds_to_come else group.timeout_s
        return max(0.0, min(own, self._end - time.monotonic()))


def _failed(gold: Frame | None) -> bool:
    return gold is not None and gold["status"] != "ok"
