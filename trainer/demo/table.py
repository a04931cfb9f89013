"""What came of the demonstration: base, offline and final with their intervals, for every seed.

Read from `stages/evaluate.json`: `points` in the order of training, each with right answers, judged
questions and Wilson's interval by metric, and the paired difference to the base.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir

_STAGES = {"base": "base", "offline": "offline", "grpo": "final"}
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One model of one seed; shares are 0..1."""

    seed: int
    name: str
    """base, offline or final."""
    right: int
    judged: int
    interval: tuple[float, float]
    """95 %."""
    gain: tuple[float, float, float] | None = None
    """Difference to the base with its 95 % interval, paired by question."""

    @property
    def share(self) -> float:
        """Execution accuracy."""
        return self.right / self.judged


def read_points(run: RunDir, seed: int) -> list[Point]:
    """The last model of each stage, so that none is chosen by what measures it.

    Raises InvalidRequest if the run has no evaluation.
    """
    path = run.path / "stages" / "evaluate.json"
    try:
        numbers = json.loads(path.read_bytes())["numbers"]
        rows = {_STAGES[p["stage"]]: p for p in numbers["points"] if p["stage"] in _STAGES}
        return [_point(seed, name, row, numbers["metric"]) for name, row in rows.items()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} has no evaluation: {type(error).__name__} {error}") from error


def table(points: Sequence[Point], said: str) -> Table:
    """For the terminal, with what the dev questions are."""
    judged = max(point.judged for point in points)
    shown = Table(title=f"execution accuracy on {judged} questions: {said}")
    for column in ("seed", "model", "right", "accuracy", "95 %", "to the base", "95 %"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for point in points:
        shown.add_row(*_cells(point), end_section=point.name == "final")
    if len({point.seed for point in points}) > 1:
        for name in _STAGES.values():
            shown.add_row(*_over_seeds(name, [p for p in points if p.name == name]))
    return shown


def _point(seed: int, name: str, row: Row, metric: str) -> Point:
    found, paired = row["accuracy"][metric], row.get("to_base", {}).get(metric)
    gain = (paired["difference"], *paired["interval_95"]) if paired else None
    return Point(seed, name, found["right"], found["judged"], tuple(found["interval_95"]), gain)


def _cells(point: Point) -> list[str]:
    cells = [str(point.seed), point.name, f"{point.right} of {point.judged}"]
    cells += [f"{point.share:.1%}", _between(*point.interval, "{:.1%}")]
    if point.gain is None:
        return [*cells, "", ""]
    gain, low, high = (100 * value for value in point.gain)
    return [*cells, f"{gain:+.1f} points", _between(low, high, "{:+.1f}")]


def _over_seeds(name: str, points: Sequence[Point]) -> list[str]:
    """The mean, and the lowest and highest seed in the place of an interval."""
    shares, gains = [p.share for p in points], [100 * p.gain[0] for p in points if p.gain]
    cells = ["all", name, f"{len(points)} seeds", f"{fmean(shares):.1%}"]
    cells.append(f"seeds: {_between(min(shares), max(shares), '{:.1%}')}")
    if not gains:
        return [*cells, "", ""]
    return [
        *cells,
        f"{fmean(gains):+.1f} points",
        f"seeds: {_between(min(gains), max(gains), '{:+.1f}')}",
    ]


def _between(low: float, high: float, form: str) -> str:
    return f"{form.format(low)} to {form.format(high)}"
