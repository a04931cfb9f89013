"""What came of the demonstration: base, offline, final and control with their intervals, each seed.

Read from `stages/evaluate.json`: `points` in the order of training, each with right answers, judged
questions and Wilson's interval by metric, and the paired differences to the base and to what its
stage began with.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir

_RUN = {"base": "base", "offline": "offline", "grpo": "final"}
_CONTROL = {"offline": "control"}
"""Its base and its parent are the run's base and offline."""
_NAMES = (*_RUN.values(), *_CONTROL.values())
_WARMED = ("final", "control")
Row = Mapping[str, Any]
Difference = tuple[float, float, float]
"""With its 95 % interval, paired by question; -1..1."""


@dataclass(frozen=True, slots=True)
class Point:
    """One model of one seed; shares are 0..1."""

    seed: int
    name: str
    """base, offline, final or control."""
    right: int
    judged: int
    interval: tuple[float, float]
    """95 %."""
    gain: Difference | None = None
    """To the base."""
    added: Difference | None = None
    """To the warm-up, offline."""

    @property
    def share(self) -> float:
        """Execution accuracy."""
        return self.right / self.judged


def read_points(run: RunDir, control: RunDir | None, seed: int) -> list[Point]:
    """The last model of each stage, so that none is chosen by what measures it.

    Raises InvalidRequest if a run has no evaluation.
    """
    return _points(run, seed, _RUN) + (_points(control, seed, _CONTROL) if control else [])


def _points(run: RunDir, seed: int, names: Mapping[str, str]) -> list[Point]:
    path = run.path / "stages" / "evaluate.json"
    try:
        numbers = json.loads(path.read_bytes())["numbers"]
        rows = {names[p["stage"]]: p for p in numbers["points"] if p["stage"] in names}
        return [_point(seed, name, row, numbers["metric"]) for name, row in rows.items()]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} has no evaluation: {type(error).__name__} {error}") from error


def table(points: Sequence[Point], said: str) -> Table:
    """For the terminal, with what the dev questions are."""
    judged = max(point.judged for point in points)
    shown = Table(title=f"execution accuracy on {judged} questions: {said}")
    versus = ("to the base", "95 %", "to offline", "95 %")
    for column in ("seed", "model", "right", "accuracy", "95 %", *versus):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for point, after in zip(points, [*points[1:], None], strict=True):
        shown.add_row(*_cells(point), end_section=after is None or after.seed != point.seed)
    if len({point.seed for point in points}) > 1:
        for name in _NAMES:
            if named := [p for p in points if p.name == name]:
                shown.add_row(*_over_seeds(name, named))
    return shown


def _point(seed: int, name: str, row: Row, metric: str) -> Point:
    found, pairs = row["accuracy"][metric], {"gain": "to_base"}
    if name in _WARMED:
        pairs["added"] = "to_stage_start"
    paired = {field: _difference(row[to][metric]) for field, to in pairs.items() if to in row}
    return Point(seed, name, found["right"], found["judged"], tuple(found["interval_95"]), **paired)


def _difference(paired: Row) -> Difference:
    low, high = paired["interval_95"]
    return paired["difference"], low, high


def _cells(point: Point) -> list[str]:
    cells = [str(point.seed), point.name, f"{point.right} of {point.judged}"]
    cells += [f"{point.share:.1%}", _between(*point.interval, "{:.1%}")]
    for paired in (point.gain, point.added):
        cells += _points_and_interval(paired)
    return cells


def _points_and_interval(paired: Difference | None) -> tuple[str, str]:
    if paired is None:
        return "", ""
    difference, low, high = (100 * value for value in paired)
    return f"{difference:+.1f} points", _between(low, high, "{:+.1f}")


def _over_seeds(name: str, points: Sequence[Point]) -> list[str]:
    """The mean, and the lowest and highest seed in the place of an interval."""
    shares = [p.share for p in points]
    cells = ["all", name, f"{len(points)} seeds", f"{fmean(shares):.1%}"]
    cells.append(f"seeds: {_between(min(shares), max(shares), '{:.1%}')}")
    for paired in ([p.gain for p in points], [p.added for p in points]):
        cells += _mean_and_range([100 * one[0] for one in paired if one])
    return cells


def _mean_and_range(differences: Sequence[float]) -> tuple[str, str]:
    if not differences:
        return "", ""
    between = _between(min(differences), max(differences), "{:+.1f}")
    return f"{fmean(differences):+.1f} points", f"seeds: {between}"


def _between(low: float, high: float, form: str) -> str:
    return f"{form.format(low)} to {form.format(high)}"
