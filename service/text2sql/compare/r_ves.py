"""BIRD's reward-based valid efficiency score: a right answer earns more if it is faster.

bird-bench/mini_dev evaluation/evaluation_ves.py. Where bird_ex is 1, gold and prediction are run
again and again; each pair of runs gives a ratio, gold time / prediction time. Ratios three standard
deviations or more from the mean are dropped, the mean of the rest is rewarded:

    ratio >= 2: 1.25    >= 1: 1    >= 0.5: 0.75    >= 0.25: 0.5    below: 0.25

Range {0, 0.25, 0.5, 0.75, 1, 1.25}, 0 exactly where bird_ex is 0. The evaluator's leaderboard
figure is the mean of sqrt(reward) * 100.

It is as noisy as the clock: the same query against itself has a ratio near 1, which is the border
between 0.75 and 1. Where all ratios are equal, as with a single one, the evaluator drops them all,
divides by zero and scores a right answer 0; this is not reproduced, their mean is taken.
"""

from collections.abc import Sequence
from math import fsum, sqrt
from typing import NamedTuple

_BUCKETS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5))
_SLOWEST = 0.25


class TimeReward(NamedTuple):
    """`value` in {0.25, 0.5, 0.75, 1, 1.25}, the mean ratio after the filter, and the ratios'
    standard deviation after it; the last two have no unit."""

    value: float
    ratio: float
    spread: float


def reward_of(ratios: Sequence[float]) -> TimeReward:
    """The reward for these ratios of gold time to prediction time; ValueError if there are none."""
    if not ratios:
        raise ValueError("no run was timed")
    mean, deviation = _mean(ratios)
    kept = [ratio for ratio in ratios if abs(ratio - mean) < 3 * deviation] or ratios
    mean, deviation = _mean(kept)
    value = next((reward for floor, reward in _BUCKETS if mean >= floor), _SLOWEST)
    return TimeReward(value, mean, deviation)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation."""
    mean = fsum(values) / len(values)
    return mean, sqrt(fsum((value - mean) ** 2 for value in values) / len(values))
