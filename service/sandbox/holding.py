"""Ask a worker whether matches hold on altered copies; go on when the worker is late or dies."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from service.errors import Unavailable
from service.sandbox.executor import Executor
from service.sandbox.frames import Frame
from service.sandbox.lease import Lease
from service.sandbox.process import WorkerDied, WorkerLate
from service.sandbox.waiting import Wanted

_PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Holding:
    """What to look at: paths of copies, texts as the metric runs them; seconds."""

    copies: Sequence[Path]
    golds: Sequence[str]
    predictions: Sequence[str]
    metric: str
    seed: int
    timeout_s: float
    """Of one statement on one copy."""
    budget_s: float
    """Of all of them together."""


async def hold(executor: Executor, database: Path, holding: Holding) -> list[Frame]:
    """An answer for each prediction, in order (copies/judge.py says what is in it).

    What the budget does not reach, or what ends its worker, is `complete: False`: nothing is held
    against it. Raises NoFreeWorker, DatabaseUnusable, Unavailable.
    """
    answers: list[Frame] = []
    end = time.monotonic() + holding.budget_s
    async with executor.lease(Wanted(str(database))) as lease:
        while len(answers) < len(holding.predictions) and time.monotonic() < end:
            try:
                await _collect(lease, holding, end, answers)
            except (WorkerLate, WorkerDied):
                answers.append(_unknown(holding))
                try:
                    await lease.renew()
                except (Unavailable, OSError):
                    break
    left = len(holding.predictions) - len(answers)
    return answers + [_unknown(holding)] * left


async def _collect(lease: Lease, holding: Holding, end: float, answers: list[Frame]) -> None:
    budget_s = max(0.0, end - time.monotonic())
    task = {
        "op": "robust",
        "copies": [str(path) for path in holding.copies],
        "golds": list(holding.golds),
        "predictions": list(holding.predictions[len(answers) :]),
        "metric": holding.metric,
        "seed": holding.seed,
        "timeout_s": holding.timeout_s,
        "budget_s": budget_s,
    }
    await lease.ask(task)
    frame: Frame = {}
    while "end" not in frame:
        frame = await lease.receive(budget_s + holding.timeout_s, lambda: _PATIENCE_S)
        answers += frame["answers"]


def _unknown(holding: Holding) -> Frame:
    counts = {"instances": len(holding.copies), "usable": 0, "held": 0}
    return counts | {"complete": False, "counterexample": None}
