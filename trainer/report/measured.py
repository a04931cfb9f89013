"""Accuracies that the evaluate stage has measured, and their paired differences.

Of `stages/evaluate.json` the counts are read (`points`, each with `accuracy` by metric, `to_base`
and `to_stage_start`); shares, intervals and tests follow from them by the code of `verisql eval`
and `verisql compare`. What is not there, or not told in whole, is left out.
"""

from dataclasses import dataclass

from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.evaluation.mcnemar import exact_p
from service.text2sql.evaluation.paired import difference, newcombe
from trainer.report.facts import Row, rows_of

_BEFORE = ("to_stage_start", "to_base")


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on dev."""

    name: str
    stage: str
    checkpoint: int | None
    right: int
    judged: int

    @property
    def share(self) -> float | None:
        """0..1; None if nothing was judged."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson(self.right, self.judged)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two policies on the same questions: how many both have right, one alone, neither."""

    a: str
    b: str
    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def difference(self) -> float:
        """Accuracy of b minus that of a, -1..1."""
        return difference(self.both, self.only_a, self.only_b, self.neither)

    @property
    def interval(self) -> tuple[float, float]:
        """Newcombe's, 95 %."""
        return newcombe(self.both, self.only_a, self.only_b, self.neither)

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided."""
        return exact_p(self.only_a, self.only_b)


def metric(numbers: Row) -> str:
    """The leading metric's name."""
    return str(numbers.get("metric") or "bird_ex")


def policies(numbers: Row) -> list[Measured]:
    """By the leading metric, in the order of training."""
    found = []
    for point in rows_of(numbers.get("points")):
        told = _of(point, "accuracy", metric(numbers))
        if _are_counts(told, "right", "judged"):
            about = str(point.get("name")), str(point.get("stage")), point.get("checkpoint")
            found.append(Measured(*about, told["right"], told["judged"]))
    return found


def differences(numbers: Row) -> list[Paired]:
    """Each point against the beginning of its stage, then against the base; none twice."""
    names = ("both", "lost", "won", "neither")
    found: dict[tuple[str, str], Paired] = {}
    for point in rows_of(numbers.get("points")):
        for before in _BEFORE:
            told = _of(point, before, metric(numbers))
            if _are_counts(told, *names):
                pair = str(told.get("to")), str(point.get("name"))
                found[pair] = Paired(*pair, *(told[name] for name in names))
    return list(found.values())


def best(numbers: Row) -> str | None:
    """Name of the point that was chosen."""
    return str(numbers["best"]) if "best" in numbers else None


def _of(point: Row, name: str, metric: str) -> Row:
    by_metric = point.get(name)
    told = by_metric.get(metric) if isinstance(by_metric, dict) else None
    return told if isinstance(told, dict) else {}


def _are_counts(row: Row, *names: str) -> bool:
    return all(isinstance(row.get(name), int) and row[name] >= 0 for name in names)
