"""Judge one group, gold against predictions, and go on when a worker has to be killed in between.

The worker answers item by item, so when it is late or dead the item at fault is known: a late one
is a timeout; a deadly one is tried once more, since the cause may have come from outside. The rest
of the group goes to another worker.
"""

from dataclasses import dataclass, field
from pathlib import Path

from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.process import WorkerDied, WorkerLate


@dataclass(frozen=True, slots=True)
class Group:
    """What to judge: distinct predictions, and the time that each statement has, in seconds."""

    golds: tuple[str, ...]
    predictions: tuple[str, ...]
    metrics: tuple[str, ...]
    timeout_s: float
    gold_timeout_s: float


@dataclass(slots=True)
class Judged:
    """Answers so far: golds by their place, predictions in order (none if no gold is usable)."""

    golds: dict[int, Frame] = field(default_factory=dict)
    predictions: list[Frame] = field(default_factory=list)


async def judge(executor: Executor, database: Path, group: Group) -> Judged:
    """All answers for a group; raises NoFreeWorker or DatabaseUnusable."""
    judged, deaths = Judged(), 0
    while True:
        visit = _Visit(group, judged)
        try:
            await executor.run(database, visit.task(), visit.timeout_s, visit.answers)
        except WorkerLate:
            visit.absorb(blame=_LATE)
        except WorkerDied:
            deaths = 1 if visit.answers else deaths + 1
            visit.absorb(blame=_DEADLY if deaths > 1 else None)
        else:
            visit.absorb()
            return judged
        if visit.nothing_left():
            return judged


_LATE = {"status": "timeout", "message": "stopped at the deadline, its worker killed"}
_DEADLY = {"status": "exec_error", "message": "the statement ended its worker process twice"}


class _Visit:
    """One task at one worker: the golds not known to fail, the predictions not yet judged."""

    def __init__(self, group: Group, judged: Judged) -> None:
        self.answers: list[Frame] = []
        self._group = group
        self._judged = judged
        self._golds = [n for n in range(len(group.golds)) if not _failed(judged.golds.get(n))]
        self._predictions = group.predictions[len(judged.predictions) :]

    def task(self) -> Frame:
        """The message to the worker."""
        return {
            "op": "verify",
            "golds": [self._group.golds[n] for n in self._golds],
            "predictions": self._predictions,
            "metrics": self._group.metrics,
            "timeout_s": self._group.timeout_s,
            "gold_timeout_s": self._group.gold_timeout_s,
        }

    def timeout_s(self, answered: int) -> float:
        """How long the next answer may take."""
        gold = answered < len(self._golds)
        return self._group.gold_timeout_s if gold else self._group.timeout_s

    def absorb(self, blame: Frame | None = None) -> None:
        """Take over the answers; `blame` becomes the answer of the item that was running."""
        answers = [next(iter(answer.values())) for answer in self.answers]
        answers += [blame] if blame else []
        golds = answers[: len(self._golds)]
        self._judged.golds |= dict(zip(self._golds, golds, strict=False))
        self._judged.predictions += answers[len(self._golds) :][: len(self._predictions)]

    def nothing_left(self) -> bool:
        """True when every prediction is judged, or no gold can be."""
        all_failed = all(_failed(self._judged.golds.get(n)) for n in range(len(self._group.golds)))
        return all_failed or len(self._judged.predictions) == len(self._group.predictions)


def _failed(gold: Frame | None) -> bool:
    return gold is not None and gold["status"] != "ok"
