"""Ask a worker whether matches hold on altered copies; go on when the worker is late or dies."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
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
    """Of all of them together, the wait for a worker included."""


async def hold(executor: Executor, database: Path, holding: Holding) -> list[Frame]:
    """An answer for each prediction, in order (copies/judge.py says what is in it).

    What the budget does not reach, or what ends its worker, is `complete: False`: nothing is held
    against it. Raises NoFreeWorker, DatabaseUnusable, Unavailable.
    """
    answers: list[Frame] = []
    end = time.monotonic() + holding.budget_s
    async with AsyncExitStack() as stack:
        lease = await _lent(stack, executor, database, end)
        while lease and len(answers) < len(holding.predictions) and time.monotonic() < end:
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


async def _lent(
    stack: AsyncExitStack, executor: Executor, database: Path, end: float
) -> Lease | None:
    """A worker until the stack unwinds, None where none was free in time."""
    try:
        async with asyncio.timeout(end - time.monotonic()):
            return await stack.enter_async_context(executor.lease(Wanted(str(database))))
    except TimeoutError:
        return None


async def _collect(lease: Lease, holding: Holding, end: float, answers: list[Frame]) -> None:
    task = {
        "op": "robust",
        "copies": [str(path) for path in holding.copies],
        "golds": list(holding.golds),
        "predictions": list(holding.predictions[len(answers) :]),
        "metric": holding.metric,
        "seed": holding.seed,
        "timeout_s": holding.timeout_s,
        "budget_s": max(0.0, end - time.monotonic()),
    }
    await lease.ask(task)
    frame: Frame = {}
    while "end" not in frame:
        # The worker itself keeps each statement's limit.
        last = max(end, time.monotonic()) + holding.timeout_s
        frame = await lease.receive(lambda: float("inf"), lambda: _PATIENCE_S, end=last)
        answers += frame["answers"]


def _unknown(holding: Holding) -> Frame:
    counts = {"instances": len(holding.copies), "usable": 0, "held": 0}
    return counts | {"complete": False, "counterexample": None}
