"""All numbers of one run, as JSON."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import quantiles
from typing import Any

from service.text2sql.evaluation.accuracy import Accuracy, accuracies
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.sampling import at_each_k

Summary = dict[str, Any]


def summarise(outcomes: Sequence[Outcome], metrics: Sequence[str]) -> Summary:
    """The names are those of summary.json in docs/evaluation.md; shares are 0..1.

    A share of nothing is None.
    """
    judged = [outcome for outcome in outcomes if not outcome.masked]
    return {
        "questions": len(outcomes),
        "judged": len(judged),
        "masked": [_masked(outcome) for outcome in outcomes if outcome.masked],
        "accuracy": {metric: _by(outcomes, metric, _difficulty) for metric in metrics},
        "databases": {metric: _by(outcomes, metric, _database)[:-1] for metric in metrics},
        "statuses": dict(Counter(outcome.status for outcome in outcomes).most_common()),
        "at_k": {metric: [asdict(k) for k in at_each_k(outcomes, metric)] for metric in metrics},
        "samples": _samples(outcomes),
        "verified": sum(bool(outcome.trace.get("verified")) for outcome in outcomes),
        "tokens": {
            "prompt": sum(outcome.prompt_tokens for outcome in outcomes),
            "completion": sum(outcome.completion_tokens for outcome in outcomes),
        },
        "latency_ms": latencies([outcome.latency_ms for outcome in outcomes]),
    }


def latencies(values_ms: Sequence[float]) -> dict[str, float] | None:
    """Median, 90th and 99th percentile, and the longest; None for none."""
    if not values_ms:
        return None
    cuts = quantiles(values_ms, n=100, method="inclusive") if len(values_ms) > 1 else None
    named = {"p50": 49, "p90": 89, "p99": 98}
    found = {name: cuts[n] if cuts else values_ms[0] for name, n in named.items()}
    return {name: round(v, 1) for name, v in (found | {"max": max(values_ms)}).items()}


def _difficulty(outcome: Outcome) -> str:
    return outcome.question.difficulty


def _database(outcome: Outcome) -> str:
    return outcome.question.db_id


def _by(
    outcomes: Sequence[Outcome], metric: str, by: Callable[[Outcome], str]
) -> list[dict[str, Any]]:
    return [_shown(accuracy) for accuracy in accuracies(outcomes, metric, by)]


def _shown(accuracy: Accuracy) -> dict[str, Any]:
    """Nothing judged has no interval either."""
    interval = list(accuracy.interval) if accuracy.judged else None
    return asdict(accuracy) | {"share": accuracy.share, "interval_95": interval}


def _masked(outcome: Outcome) -> dict[str, Any]:
    return {
        "place": outcome.place,
        "question_id": outcome.question.question_id,
        "db_id": outcome.question.db_id,
        "status": outcome.status,
        "message": outcome.message,
    }


def _samples(outcomes: Sequence[Outcome]) -> dict[str, int]:
    samples = [sample for outcome in outcomes for sample in outcome.samples]
    return {
        "count": len(samples),
        "valid": sum(sample.valid is True for sample in samples),
        "without_sql": sum(sample.sql is None for sample in samples),
        "repaired": sum(sample.repaired > 0 for sample in samples),
    }
