"""One session of an evaluation, from its first question to its report."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.client import Client
from service.commands.ask_all import ask_all
from service.text2sql.evaluation import Outcome
from service.text2sql.evaluation.choose import Placed
from service.text2sql.evaluation.folder import RunFolder
from service.text2sql.evaluation.manifest import Plan
from service.text2sql.evaluation.session import machine, session
from service.text2sql.evaluation.unchanged import Unchanged
from service.text2sql.questions import Question


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is asked, how, and where the answers go."""

    plan: Plan
    questions: Sequence[Question]
    """All of the file."""
    chosen: Sequence[Placed]
    metrics: Sequence[str]
    options: Mapping[str, Any]
    """Fields of POST /generate."""
    output: Path | None


def run(
    evaluation: Evaluation, address: tuple[str, str | None], concurrency: int, deadline_s: float
) -> list[Outcome]:
    """All outcomes, those of earlier sessions too, in the file's order.

    Raises InvalidRequest, ServiceError, and Conflict where the service changes under way; what was
    answered until then is kept in the folder.
    """
    with RunFolder(evaluation.output, evaluation.plan, _surroundings(address)) as folder:
        known = folder.outcomes
        left = [q for q in evaluation.chosen if q[0] not in known or known[q[0]].retryable]
        with (
            session(folder, evaluation.questions, evaluation.metrics),
            _kept(folder, evaluation),
            _bar(folder, evaluation) as done,
        ):
            work = ask_all(
                address,
                left,
                metrics=evaluation.metrics,
                options=evaluation.options,
                concurrency=concurrency,
                deadline_s=deadline_s,
                done=done,
            )
            asyncio.run(work)
        return folder.in_order()


@contextmanager
def _kept(folder: RunFolder, evaluation: Evaluation) -> Iterator[None]:
    """Say what is kept where it does not come to its end."""
    try:
        yield
    except BaseException:
        _say_kept(folder, evaluation)
        raise


@contextmanager
def _bar(folder: RunFolder, evaluation: Evaluation) -> Iterator[Callable[[Outcome], None]]:
    """A progress bar with the accuracy so far; gives what takes an outcome."""
    metric = evaluation.metrics[0]
    judged = [outcome for outcome in folder.outcomes.values() if not outcome.masked]
    counts = {"right": sum(outcome.right(metric) for outcome in judged), "judged": len(judged)}
    same = Unchanged(folder.in_order())
    with _progress() as bar:
        task = bar.add_task("asking", total=len(evaluation.chosen), told=_told(counts))

        def done(outcome: Outcome) -> None:
            same.check(outcome)
            folder.add(outcome)
            counts["right"] += outcome.right(metric)
            counts["judged"] += not outcome.masked
            bar.update(task, completed=len(folder.outcomes), told=_told(counts))

        bar.update(task, completed=len(folder.outcomes))
        yield done


def _surroundings(address: tuple[str, str | None]) -> dict[str, Any]:
    with Client(*address) as client:
        version = client.get("/healthz")["version"]
    return {"service": {"version": version}, "machine": machine()}


def _say_kept(folder: RunFolder, evaluation: Evaluation) -> None:
    if folder.path:
        answered = f"{len(folder.outcomes)} of {len(evaluation.chosen)} questions are answered"
        console = Console(stderr=True, soft_wrap=True)
        console.print(
            f"{answered} and kept in {folder.path}; the same command goes on from there",
            markup=False,
            highlight=False,
        )


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    told = TextColumn("{task.fields[told]}")
    return Progress(*columns, told, TimeRemainingColumn(), console=Console(stderr=True))


def _told(counts: Mapping[str, int]) -> str:
    if not counts["judged"]:
        return "none judged yet"
    return f"{counts['right']} right, {counts['right'] / counts['judged']:.1%}"
