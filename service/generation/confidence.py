"""How likely an answer is right, from how many candidates agree with it.

The share of votes is mapped to the accuracy that was observed at that share on development data
(confidence.json: which data, which model, how many questions), by isotonic regression (pool
adjacent violators, Ayer et al. 1955), linear between its points. For a model that was not measured
the share stands as it is, and says so.
"""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import NamedTuple

from service.engine.base import Sampling

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """(share of votes, accuracy) pairs in ascending order, and where they come from."""

    model: str
    n: int
    temperature: float
    basis: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Confidence:
    """0..1, and in words what it rests on."""

    value: float
    basis: str


def confidence(share: float, sampling: Sampling, model: str) -> Confidence | None:
    """Of an answer with that share (0..1) of the candidates' votes; None for a single candidate.

    A calibration holds for its model or adapter, number of candidates and temperature alone.
    """
    if sampling.n < 2:
        return None
    if not share:
        return Confidence(0.0, "no candidate runs")
    wanted = (model, sampling.n, sampling.temperature)
    known = next((c for c in calibrations() if (c.model, c.n, c.temperature) == wanted), None)
    if known is None:
        return Confidence(round(share, 3), "share of votes, not calibrated for this model")
    return Confidence(round(interpolated(known.points, share), 3), known.basis)


@cache
def calibrations() -> tuple[Calibration, ...]:
    """What confidence.json holds, read once."""
    rows = json.loads(files(__package__).joinpath("confidence.json").read_text())
    return tuple(
        Calibration(**row | {"points": tuple((x, y) for x, y in row["points"])}) for row in rows
    )


def interpolated(points: Sequence[Point], x: float) -> float:
    """Linear between points, constant outside of them."""
    place = bisect_right([p[0] for p in points], x)
    if place == 0:
        return points[0][1]
    if place == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[place - 1], points[place]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def isotonic(outcomes: Sequence[tuple[float, bool]]) -> list[Point]:
    """The best non-decreasing fit to (share, right) pairs: a point for each block, at its mean.

    Accuracies are drawn to one half by Laplace's rule of succession, (right + 1) / (questions + 2):
    of few questions that were all right not all others are.
    """
    blocks: list[_Block] = []
    for share, right in sorted(outcomes):
        blocks.append(_Block(share, float(right), 1))
        while len(blocks) > 1 and not blocks[-2].below(blocks[-1]):
            later = blocks.pop()
            blocks.append(blocks.pop().joined(later))
    smooth = accumulate(((b.right + 1) / (b.questions + 2) for b in blocks), max)
    return [(block.point[0], value) for block, value in zip(blocks, smooth, strict=True)]


class _Block(NamedTuple):
    shares: float
    right: float
    questions: int

    @property
    def point(self) -> Point:
        return self.shares / self.questions, self.right / self.questions

    def below(self, other: "_Block") -> bool:
        return self.point[0] < other.point[0] and self.point[1] < other.point[1]

    def joined(self, other: "_Block") -> "_Block":
        questions = self.questions + other.questions
        return _Block(self.shares + other.shares, self.right + other.right, questions)


def calibration_error(points: Sequence[Point], outcomes: Sequence[tuple[float, bool]]) -> float:
    """Expected calibration error (Naeini et al. 2015) over ten bins of equal width, 0..1."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
    for share, right in outcomes:
        value = interpolated(points, share)
        bins[min(9, int(value * 10))].append((value, right))
    gaps = (abs(sum(v for v, _ in b) - sum(r for _, r in b)) for b in bins if b)
    return sum(gaps) / len(outcomes)


def ascending(points: Sequence[Point]) -> bool:
    """Whether both coordinates never fall: what a calibration must be."""
    return all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(points))
