"""The numbers of arms and rounds, as JSON; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.text2sql.evaluation import Outcome, accuracies
from service.text2sql.evaluation.accuracy import Accuracy
from service.text2sql.types import Metric
from trainer.selection.arms import Arm

METRIC: Metric = "bird_ex"
"""What arms are told apart by."""


@dataclass(frozen=True, slots=True)
class Held:
    """A round that is over: the outcomes of each arm that took part, by the arm's number."""

    outcomes: Mapping[int, Sequence[Outcome]]
    """On all questions so far, the same ones for every arm."""
    kept: Sequence[int]
    """Numbers of the arms that went on."""


def accuracy(outcomes: Sequence[Outcome]) -> Accuracy:
    """By the metric that decides."""
    return list(accuracies(outcomes, METRIC))[-1]


def table(arms: Sequence[Arm], held: Sequence[Held], winner: Arm) -> dict[str, Any]:
    """What the stage's result says; docs/training/select.md names the fields. Shares are 0..1."""
    rows = [_row(arm, held, winner) for arm in arms]
    spent = [row["spent"] for row in rows]
    most = max((row["spent"]["questions"] for row in rows), default=0)
    return {
        "metric": METRIC,
        "winner": winner.number,
        "rounds": [_round(one) for one in held],
        "arms": rows,
        "spent": {name: _sum(spent, name) for name in _SPENT},
        "questions_without_halving": most * len(arms),
    }


_SPENT = ("questions", "prompt_tokens", "completion_tokens", "seconds")


def _round(held: Held) -> dict[str, int]:
    questions = max((len(outcomes) for outcomes in held.outcomes.values()), default=0)
    return {"questions": questions, "arms": len(held.outcomes), "kept": len(held.kept)}


def _row(arm: Arm, held: Sequence[Held], winner: Arm) -> dict[str, Any]:
    taken = [one for one in held if arm.number in one.outcomes]
    asked = taken[-1].outcomes[arm.number] if taken else ()
    return {
        "number": arm.number,
        "base_model": arm.base_model,
        "template": arm.template,
        "temperature": arm.temperature,
        "answers": arm.file_name,
        "rounds": [_shown(accuracy(one.outcomes[arm.number])) for one in taken],
        "dropped_in_round": None if arm is winner else len(taken),
        "spent": {
            "questions": len(asked),
            "prompt_tokens": sum(outcome.prompt_tokens for outcome in asked),
            "completion_tokens": sum(outcome.completion_tokens for outcome in asked),
            "seconds": round(sum(outcome.latency_ms for outcome in asked) / 1000, 1),
        },
    }


def _shown(found: Accuracy) -> dict[str, Any]:
    interval = list(found.interval) if found.judged else None
    share = found.share
    return {"right": found.right, "judged": found.judged, "share": share, "interval_95": interval}


def _sum(spent: Sequence[Mapping[str, float]], name: str) -> float:
    return round(sum(one[name] for one in spent), 1)
