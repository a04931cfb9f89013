"""The share of right answers, in all and by difficulty or database, with its interval."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.text2sql.evaluation.outcome import Outcome

Z_95 = 1.959964
"""The 97.5 % point of the normal distribution."""
ALL = "all"


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Right answers among those that could be judged."""

    name: str
    right: int
    judged: int
    mean: float = 0.0
    """Of the metric's values: for a graded metric (bird_soft_f1, bird_r_ves) not the share."""

    @property
    def share(self) -> float | None:
        """0..1; None if nothing was judged."""
        return self.right / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """As `wilson`."""
        return wilson(self.right, self.judged)


def wilson(right: int, judged: int) -> tuple[float, float]:
    """The 95 % score interval of a share, (0, 1) if nothing was judged.

    (p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n); E. B. Wilson, "Probable inference, the law
    of succession, and statistical inference", JASA 22 (1927).
    """
    if not judged:
        return (0.0, 1.0)
    n, p, z = judged, right / judged, Z_95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if right == 0 else max(0.0, middle - half)
    return (low, 1.0 if right == judged else min(1.0, middle + half))


def accuracies(
    outcomes: Sequence[Outcome],
    metric: str,
    by: Callable[[Outcome], str] = lambda outcome: outcome.question.difficulty,
) -> Iterator[Accuracy]:
    """By difficulty (or `by`) in order of first appearance; `all` comes last."""
    judged = [outcome for outcome in outcomes if not outcome.masked]
    for name in dict.fromkeys(map(by, outcomes)):
        yield _accuracy(name, (o for o in judged if by(o) == name), metric)
    yield _accuracy(ALL, judged, metric)


def _accuracy(name: str, judged: Iterable[Outcome], metric: str) -> Accuracy:
    found = [(outcome.right(metric), outcome.value(metric)) for outcome in judged]
    mean = sum(value for _, value in found) / len(found) if found else 0.0
    return Accuracy(name, sum(right for right, _ in found), len(found), mean)
