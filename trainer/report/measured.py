"""Accuracies that the evaluate stage has measured, and their paired differences.

`stages/evaluate.json` has in `numbers`

    metric       name of the metric, `bird_ex`
    policies     [{"name", "checkpoint", "right", "judged", "masked"}], the base model first
    differences  [{"a", "b", "both", "only_a", "only_b", "neither"}], names of policies

Everything else is computed from the counts, by the code of `verisql eval` and `verisql compare`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.evaluation.mcnemar import exact_p
from service.text2sql.evaluation.paired import difference, newcombe


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on dev."""

    name: str
    right: int
    judged: int
    masked: int = 0
    checkpoint: int | None = None

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


def policies(numbers: dict[str, Any]) -> list[Measured]:
    """Those that are told in whole; what is not is left out."""
    return [
        Measured(
            str(row.get("name")),
            int(row["right"]),
            int(row["judged"]),
            int(row.get("masked") or 0),
            row.get("checkpoint"),
        )
        for row in _rows(numbers.get("policies"))
        if _counts(row, "right", "judged")
    ]


def differences(numbers: dict[str, Any]) -> list[Paired]:
    """Those that are told in whole; what is not is left out."""
    names = ("both", "only_a", "only_b", "neither")
    return [
        Paired(str(row.get("a")), str(row.get("b")), *(int(row[name]) for name in names))
        for row in _rows(numbers.get("differences"))
        if _counts(row, *names)
    ]


def metric(numbers: dict[str, Any]) -> str:
    """The metric's name."""
    return str(numbers.get("metric") or "bird_ex")


def _rows(value: Any) -> Iterator[dict[str, Any]]:
    yield from (row for row in value or () if isinstance(row, dict))


def _counts(row: dict[str, Any], *names: str) -> bool:
    return all(isinstance(row.get(name), int) and row[name] >= 0 for name in names)
