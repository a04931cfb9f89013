"""Accuracies with their intervals, differences with their tests, and the best point; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.text2sql.evaluation import Outcome, accuracies, compare
from service.text2sql.evaluation.accuracy import Accuracy
from service.text2sql.types import METRICS, Metric
from trainer.evaluation.points import Point

LEADING: Metric = "bird_ex"
"""What the best is chosen by."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A point and its outcomes."""

    point: Point
    outcomes: Sequence[Outcome]
    folder: str
    """Within the run's."""
    tokens: Mapping[str, int]
    seconds: float

    @property
    def accuracy(self) -> Accuracy:
        """By the leading metric."""
        return _whole(self.outcomes, LEADING)


def best(reached: Sequence[Reached]) -> Reached:
    """The highest share of right answers; of equal ones the earliest."""
    return max(reached, key=lambda one: one.accuracy.share or 0.0)


def numbers(reached: Sequence[Reached]) -> dict[str, Any]:
    """What the stage's result says; shares are 0..1, docs/training/evaluate.md names the fields."""
    named = {one.point.name: one for one in reached}
    chosen = best(reached)
    return {
        "metric": LEADING,
        "metrics": list(METRICS),
        "questions": len(reached[0].outcomes),
        "best": chosen.point.name,
        "best_checkpoint": chosen.point.policy.checkpoint,
        "points": [_row(one, n, reached, named) for n, one in enumerate(reached)],
    }


def difference(a: Reached, b: Reached, metric: str) -> dict[str, Any]:
    """Of b to a on the same questions: Newcombe's interval, McNemar's exact test."""
    table = compare(a.outcomes, b.outcomes, metric).tables[-1]
    return {
        "to": a.point.name,
        "judged": table.judged,
        "both": table.both,
        "lost": table.only_a,
        "won": table.only_b,
        "neither": table.neither,
        "difference": table.difference,
        "interval_95": list(table.interval),
        "mcnemar_p": table.p_value,
    }


def _row(
    one: Reached, place: int, reached: Sequence[Reached], named: Mapping[str, Reached]
) -> dict[str, Any]:
    row = {
        "name": one.point.name,
        "stage": one.point.stage,
        "checkpoint": one.point.policy.checkpoint,
        "step": one.point.step,
        "folder": one.folder,
        "accuracy": {metric: _shown(_whole(one.outcomes, metric)) for metric in METRICS},
        "statuses": _counts(one.outcomes),
        "tokens": dict(one.tokens),
        "seconds": one.seconds,
    }
    if place == 0:
        return row
    others = {
        "to_base": reached[0],
        "to_previous": reached[place - 1],
        "to_stage_start": named[one.point.before],
    }
    return row | {
        name: {metric: difference(other, one, metric) for metric in METRICS}
        for name, other in others.items()
    }


def _whole(outcomes: Sequence[Outcome], metric: str) -> Accuracy:
    return list(accuracies(outcomes, metric))[-1]


def _shown(accuracy: Accuracy) -> dict[str, Any]:
    return {
        "right": accuracy.right,
        "judged": accuracy.judged,
        "share": accuracy.share,
        "interval_95": list(accuracy.interval) if accuracy.judged else None,
        "mean": accuracy.mean,
    }


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.status] = counts.get(outcome.status, 0) + 1
    return counts
