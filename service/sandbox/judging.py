"""Judge one group, gold against predictions, and go on when a worker has to be killed in between.

Answers come in batches, and the worker says in shared memory which item it is at, so when it is
late or dead the item at fault is known; what it had answered but not sent yet is run again. A late
one is a timeout, or `infra_error` if others kept it from the processor. A deadly one is tried once
more, since the cause may have come from outside; then it is `exec_error` if it crashed the engine,
`infra_error` if somebody killed the worker.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.errors import Unavailable
from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.lease import Lease
from service.sandbox.plan import statements_of, timings_of
from service.sandbox.process import WorkerDied, WorkerLate
from service.sandbox.waiting import Wanted

_TRIES = 2
_PATIENCE_S, _GOLD_PATIENCE_S = 0.01, 1.0
_TIMES_GOLD = 4.0


@dataclass(frozen=True, slots=True)
class Group:
    """What to judge: distinct predictions, and the seconds for each statement and for all."""

    golds: tuple[str, ...]
    predictions: tuple[str, ...]
    metrics: tuple[str, ...]
    timeout_s: float
    gold_timeout_s: float
    group_timeout_s: float
    diff_rows: int = 3
    by_width: bool = False
    gold_s: float = 0.0
    """Seconds that the golds took when they were last run, 0 if that is not known."""


@dataclass(slots=True)
class Judged:
    """Answers so far by their place; no predictions if no gold is usable."""

    golds: dict[int, Frame] = field(default_factory=dict)
    predictions: dict[int, Frame] = field(default_factory=dict)


async def judge(executor: Executor, database: Path, group: Group) -> Judged:
    """All answers for a group; raises NoFreeWorker, DatabaseUnusable, Unavailable."""
    judged, deaths = Judged(), Counter[tuple[str, int]]()
    wanted = Wanted(str(database), group.golds, group.gold_s)
    async with executor.lease(wanted) as lease:
        end = time.monotonic() + group.group_timeout_s
        while True:
            visit = _Visit(group, judged, end)
            try:
                await visit.make(lease)
            except WorkerLate as late:
                visit.blame(_OVERDUE if time.monotonic() >= end else late.answer(_LATE))
            except WorkerDied as death:
                deaths[visit.running] += 1
                if deaths[visit.running] >= _TRIES:
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


_LATE = "stopped at the deadline, its worker killed"
_DEADLY = {"status": "exec_error", "message": "the statement crashed its worker process twice"}
_KILLED = {"status": "infra_error", "message": "its worker process was killed from outside, twice"}
_OVERDUE = {"status": "infra_error", "message": "not judged: the time for the whole group is over"}


class _Visit:
    """One task at one worker: the golds not known to fail, the predictions not yet judged."""

    def __init__(self, group: Group, judged: Judged, end: float) -> None:
        self._group = group
        self._judged = judged
        self._end = end
        golds = [n for n in range(len(group.golds)) if not _failed(judged.golds.get(n))]
        predictions = [n for n in range(len(group.predictions)) if n not in judged.predictions]
        self._items = [("gold", n) for n in golds] + [("prediction", n) for n in predictions]
        self._golds = len(golds)
        self._taken = 0
        self._at = 0
        self._since = time.monotonic()
        statements, timings = statements_of(group.metrics), timings_of(group.metrics)
        self._limits_s = (
            group.gold_timeout_s * statements,
            group.timeout_s * statements + group.gold_timeout_s * timings,
        )

    async def make(self, lease: Lease) -> None:
        """Ask and take down every answer; raises WorkerLate, WorkerDied."""
        group = self._group
        chosen = [group.predictions[n] for kind, n in self._items if kind == "prediction"]
        task = {
            "op": "verify",
            "golds": [group.golds[n] for _, n in self._items[: self._golds]],
            "predictions": chosen,
            "metrics": group.metrics,
            "timeout_s": group.timeout_s,
            "gold_timeout_s": group.gold_timeout_s,
            "diff_rows": group.diff_rows,
            "by_width": group.by_width,
        }
        await lease.ask(task)
        frame: Frame = {}
        while "end" not in frame:
            if time.monotonic() >= self._end:
                # Answers that keep coming are no reason to go on: the caller does not wait longer.
                self._at = max(self._taken, lease.place)
                raise WorkerLate
            self._since = time.monotonic()
            frame = await self._next(lease)
            self._take(frame["answers"])

    @property
    def running(self) -> tuple[str, int]:
        """Which item is running: ("gold" or "prediction", its place)."""
        return self._items[min(self._at, len(self._items) - 1)]

    def blame(self, answer: Frame) -> None:
        """Answer in the place of the item that was running."""
        elapsed_ms = round((time.monotonic() - self._since) * 1000, 3)
        self._answer(self.running, answer | {"elapsed_ms": elapsed_ms})

    def nothing_left(self) -> bool:
        """True when every prediction is judged, or no gold can be."""
        golds = [self._judged.golds.get(n) for n in range(len(self._group.golds))]
        if None in golds:
            return False
        return all(map(_failed, golds)) or len(self._judged.predictions) == len(
            self._group.predictions
        )

    def give_up(self) -> Judged:
        """The rest cannot be judged any more: masked, to be sent again."""
        for n in range(len(self._group.golds)):
            self._judged.golds.setdefault(n, _OVERDUE)
        for n in range(len(self._group.predictions)):
            self._judged.predictions.setdefault(n, _OVERDUE)
        return self._judged

    async def _next(self, lease: Lease) -> Frame:
        """The next frame; raises WorkerLate once the item that runs is over its time."""
        try:
            limit_s, patience_s = partial(self._limit_s, lease), partial(self._patience_s, lease)
            return await lease.receive(limit_s, patience_s, end=self._end)
        except (WorkerDied, WorkerLate):
            self._at = max(self._taken, lease.place)
            raise

    def _limit_s(self, lease: Lease) -> float:
        """That of the item that is running: golds have their own."""
        return self._limits_s[max(self._taken, lease.place) >= self._golds]

    def _take(self, answers: list[Frame]) -> None:
        for answer in answers:
            self._answer(self._items[self._taken], answer)
            self._taken += 1

    def _patience_s(self, lease: Lease) -> float:
        """How long the running item may take before others go first: a while, more after slow
        golds."""
        if lease.place < self._golds:
            return max(_GOLD_PATIENCE_S, _TIMES_GOLD * self._group.gold_s)
        known_ms = [gold.get("elapsed_ms", 0.0) for gold in self._judged.golds.values()]
        slowest_s = max([ms / 1000 for ms in known_ms], default=0.0)
        return max(_PATIENCE_S, _TIMES_GOLD * max(slowest_s, self._group.gold_s))

    def _answer(self, item: tuple[str, int], answer: Frame) -> None:
        kind, place = item
        (self._judged.golds if kind == "gold" else self._judged.predictions)[place] = answer


def _failed(gold: Frame | None) -> bool:
    return gold is not None and gold["status"] != "ok"
