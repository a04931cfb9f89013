"""Successive halving: many arms on few questions, then fewer arms on more; pure.

K. Jamieson, A. Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
arXiv 1502.07943, algorithm 1, with questions as the budget: every round asks the arms that are left
twice as many questions as the round before and keeps the share `keep` of them. With half of the
arms kept each round costs the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.text2sql.evaluation.choose import Placed, stratified

_ROUNDING = 1e-9
"""0.29 * 100 is a little under 29."""


@dataclass(frozen=True, slots=True)
class Round:
    """So many arms have answered so many questions, those of earlier rounds among them."""

    arms: int
    questions: int
    survivors: int


def rounds(arms: int, questions: int, keep: float, available: int) -> list[Round]:
    """Until one arm is left; none for a single arm. `keep` is in (0, 1).

    A round keeps floor(keep * arms), at least one. The round that asks all the `available`
    questions is the last and keeps one: more would not be told apart better.
    """
    planned: list[Round] = []
    asked = min(questions, available)
    while arms > 1:
        left = 1 if asked == available else max(1, math.floor(keep * arms + _ROUNDING))
        planned.append(Round(arms, asked, left))
        arms, asked = left, min(2 * asked, available)
    return planned


def survivors(scores: Sequence[float], count: int) -> list[int]:
    """Places of the `count` highest scores, in rising order; of equal scores the earlier stays."""
    best = sorted(range(len(scores)), key=lambda n: (-scores[n], n))
    return sorted(best[:count])


def nested(placed: Sequence[Placed], sizes: Sequence[int], seed: int) -> list[list[Placed]]:
    """A sample of each size, in rising order, each within the next; difficulties by their share.

    Drawn from the largest down, since a sample that is drawn anew need not hold a smaller one.
    """
    samples: list[list[Placed]] = []
    within = list(placed)
    for size in reversed(sizes):
        within = stratified(within, size, seed)
        samples.append(within)
    return samples[::-1]
