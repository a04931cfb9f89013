"""Shares of verdicts over steps as stacked areas in inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.pages.document import safe
from trainer.report.axes import thinned, whole_ticks
from trainer.report.curves import step_mark

KINDS = ("match", "mismatch", "error", "timeout", "no_sql", "masked")
"""From the bottom up; those of metrics.jsonl's `verdicts`."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 260, 52, 130, 12, 26
_COLUMNS = 60
_ROOM = 16  # between two labels

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Column:
    """Verdicts of one step, or of several that lie together."""

    step: int
    counts: Counts

    def share(self, kind: str) -> float:
        """0..1; a column has at least one verdict."""
        return self.counts.get(kind, 0) / sum(self.counts.values())


def columns(counted: Sequence[tuple[int, Counts]]) -> list[Column]:
    """At most 60, neighbours added up; steps without a verdict are left out."""
    told = [(step, counts) for step, counts in counted if sum(counts.values())]
    ends = [*thinned(len(told), _COLUMNS), len(told)] if told else []
    return [_joined(told[start:end]) for start, end in pairwise(ends)]


def verdict_areas(name: str, found: Sequence[Column]) -> str:
    """One figure; `found` is not empty."""
    drawn = "".join(_area(kind, found) for kind in _present(found))
    low, high = found[0].step, found[-1].step
    marks = "".join(step_mark_at(step, found) for step in whole_ticks(low, high))
    levels = "".join(map(_level, (0.0, 0.25, 0.5, 0.75, 1.0)))
    first, last = (
        ", ".join(f"{kind} {column.share(kind):.0%}" for kind in _present(found))
        for column in (found[0], found[-1])
    )
    told = f"At step {low}: {first}. At step {high}: {last}."
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">Verdicts over steps</title>'
        f'<desc id="{name}-d">{safe(told)}</desc>{levels}{drawn}{_labels(found)}{marks}'
        "</svg></figure>"
    )


def step_mark_at(step: int, found: Sequence[Column]) -> str:
    """A step's number below its place."""
    mark = step_mark(step, _x(step, found))
    return f'<g transform="translate(0 {_HEIGHT - 210})">{mark}</g>'


def _joined(told: Sequence[tuple[int, Counts]]) -> Column:
    counts = {kind: sum(c.get(kind, 0) for _, c in told) for kind in KINDS}
    return Column(told[0][0], counts)


def _present(found: Sequence[Column]) -> list[str]:
    return [kind for kind in KINDS if any(column.counts.get(kind) for column in found)]


def _x(step: float, found: Sequence[Column]) -> float:
    room, spread = _WIDTH - _LEFT - _RIGHT, found[-1].step - found[0].step
    return _LEFT + (room * (step - found[0].step) / spread if spread else 0.0)


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def _below(kind: str, column: Column) -> float:
    return sum(column.share(other) for other in KINDS[: KINDS.index(kind)])


def _area(kind: str, found: Sequence[Column]) -> str:
    # A single step is as wide as the picture.
    edge = [(_x(c.step, found), c) for c in found]
    edge = edge if len(found) > 1 else [(_LEFT, found[0]), (_WIDTH - _RIGHT, found[0])]
    up = [(x, _below(kind, c) + c.share(kind)) for x, c in edge]
    down = [(x, _below(kind, c)) for x, c in reversed(edge)]
    points = " ".join(f"{x:.1f},{_y(share):.1f}" for x, share in [*up, *down])
    return f'<polygon class="v-{kind}" points="{points}"/>'


def _level(share: float) -> str:
    y = _y(share)
    return (
        f'<line x1="{_LEFT - 4}" x2="{_LEFT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="tick label">{share:.0%}</text>'
    )


def _labels(found: Sequence[Column]) -> str:
    """Beside the last column, the lowest first, each moved up where it would lie on another."""
    last, at, drawn = found[-1], _y(0) + _ROOM, []
    for kind in _present(found):
        at = min(_y(_below(kind, last) + last.share(kind) / 2), at - _ROOM)
        drawn.append((kind, at))
    lift = min(0.0, drawn[-1][1] - _TOP)
    return "".join(
        f'<rect x="{_WIDTH - _RIGHT + 8}" y="{y - lift - 6:.1f}" width="11" height="11" '
        f'class="v-{kind}"/><text x="{_WIDTH - _RIGHT + 25}" y="{y - lift + 4:.1f}">{kind} '
        f'<tspan class="tick">{last.share(kind):.0%}</tspan></text>'
        for kind, y in drawn
    )
