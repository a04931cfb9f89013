"""The rounds of a selection as one SVG: rounds from left to right, accuracy upwards.

A line for each arm with a whisker for each interval; arms that were dropped are faint and end in a
cross. Colours stand in attributes, so that the same drawing is a file of its own or part of a page
that forbids style.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from service.pages.texts import cut, visible

_WIDTH, _LEFT, _RIGHT, _TOP, _PLOT, _LINE = 720, 56, 24, 14, 260, 20
_DRAWN = 12
"""Arms: those that went farthest; the table has all."""
_COLOURS = (
    "#b3402a", "#2a6fb3", "#3b7d3a", "#8a5aa8", "#a87b1c", "#2b8a8a",
    "#c2547f", "#5b6b7b", "#7a8f23", "#4b4fb0", "#8c5a3c", "#d07a1f",
)  # fmt: skip
"""One for each arm that is drawn."""
_LONGEST_LABEL, _LONGEST_MODEL = 104, 30  # characters
_APART, _SPREAD = 9.0, 0.7
"""Between the whiskers of one round, and the most of a round's width that they take."""

Table = Mapping[str, Any]
Row = Mapping[str, Any]


def picture(table: Table) -> str:
    """A whole SVG document, dark on white."""
    return _svg(table, 'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"', paper=True)


def figure(table: Table) -> str:
    """The same as a part of an HTML page."""
    return f"<figure>{_svg(table, '', paper=False)}</figure>"


def _svg(table: Table, attributes: str, *, paper: bool) -> str:
    rows = _drawn(table)
    scale = _Scale(rows, len(table["rounds"]))
    height = _TOP + _PLOT + 58 + _LINE * (len(rows) + 1)
    back = f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>' if paper else ""
    arms = "".join(_arm(row, n, scale, table) for n, row in enumerate(rows))
    return (
        f'<svg {attributes} viewBox="0 0 {_WIDTH} {height}" role="img" font-size="13">'
        f"<title>Selection by successive halving</title><desc>{_told(rows)}</desc>{back}"
        f"{_grid(scale, table)}{arms}{_legend(rows, table)}</svg>"
    )


class _Scale:
    """Places of rounds and shares."""

    def __init__(self, rows: Sequence[Row], rounds: int) -> None:
        ends = [end for row in rows for one in row["rounds"] for end in one["interval_95"] or ()]
        self.low = int(min(ends, default=0) * 10) / 10
        self.high = min(1.0, int(max(ends, default=1) * 10 + 1) / 10)
        self._width = (_WIDTH - _LEFT - _RIGHT) / rounds
        self._apart = min(_APART, _SPREAD * self._width / len(rows))
        self._middle = (len(rows) - 1) / 2

    def x(self, place: int, arm: float | None = None) -> float:
        """Of a round's middle, or of the arm's whisker in it."""
        shift = 0.0 if arm is None else (arm - self._middle) * self._apart
        return _LEFT + self._width * (place + 0.5) + shift

    def y(self, share: float) -> float:
        return _TOP + _PLOT * (1 - (share - self.low) / (self.high - self.low))


def _drawn(table: Table) -> list[Row]:
    """Farthest first, then the best of their last round."""

    def reached(row: Row) -> tuple[bool, int, float]:
        share = row["rounds"][-1]["share"] if row["rounds"] else None
        return row["number"] == table["winner"], len(row["rounds"]), share or 0.0

    return sorted(table["arms"], key=reached, reverse=True)[:_DRAWN]


def _grid(scale: _Scale, table: Table) -> str:
    shares = [n / 10 for n in range(round(scale.low * 10), round(scale.high * 10) + 1)]
    levels = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{scale.y(share):.1f}" '
        f'y2="{scale.y(share):.1f}" stroke="#8885"/><text x="{_LEFT - 8}" '
        f'y="{scale.y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in shares
    )
    return levels + "".join(
        _centred(scale.x(n), 20, f"round {n + 1}")
        + _centred(scale.x(n), 38, f"{one['arms']} arms \u00d7 {one['questions']}")
        for n, one in enumerate(table["rounds"])
    )


def _centred(x: float, below: int, text: str) -> str:
    y = _TOP + _PLOT + below
    return f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{text}</text>'


def _arm(row: Row, place: int, scale: _Scale, table: Table) -> str:
    found = [(scale.x(n, place), one) for n, one in enumerate(row["rounds"]) if one["judged"]]
    if not found:
        return ""
    points = [(x, scale.y(one["share"])) for x, one in found]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    whiskers = "".join(
        f"M{x:.1f} {scale.y(one['interval_95'][0]):.1f}V{scale.y(one['interval_95'][1]):.1f}"
        for x, one in found
    )
    won = row["number"] == table["winner"]
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in points)
    cross = "" if won else _cross(*points[-1])
    colour = _COLOURS[place % len(_COLOURS)]
    return (
        f'<g stroke="{colour}" fill="{colour}" opacity="{1 if won else 0.45}">'
        f'<polyline points="{path}" fill="none" stroke-width="{3 if won else 1.5}"/>'
        f'<path d="{whiskers}" fill="none"/>{marks}{cross}</g>'
    )


def _cross(x: float, y: float) -> str:
    return f'<path d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12" stroke-width="2" fill="none"/>'


def _legend(rows: Sequence[Row], table: Table) -> str:
    top = _TOP + _PLOT + 70
    lines = "".join(
        f'<rect x="{_LEFT}" y="{top + n * _LINE - 9}" width="10" height="10" '
        f'fill="{_COLOURS[n % len(_COLOURS)]}"/><text x="{_LEFT + 18}" y="{top + n * _LINE}">'
        f"{escape(_label(row, table))}</text>"
        for n, row in enumerate(rows)
    )
    if (more := len(table["arms"]) - len(rows)) > 0:
        y = top + len(rows) * _LINE
        lines += f'<text x="{_LEFT + 18}" y="{y}">and {more} more, dropped before</text>'
    return lines


def _label(row: Row, table: Table) -> str:
    """The result first: where there is too little room, the end is cut."""
    model = cut(visible(row["base_model"]), _LONGEST_MODEL)
    won = row["number"] == table["winner"]
    end = "chosen" if won else f"out in round {row['dropped_in_round']}"
    label = f"{_share(row)}, {end}: {model}, {row['template']}, temperature {row['temperature']:g}"
    return cut(label, _LONGEST_LABEL)


def _share(row: Row) -> str:
    last = row["rounds"][-1] if row["rounds"] else {"judged": 0}
    return f"{last['share']:.1%} of {last['judged']}" if last["judged"] else "not judged"


def _told(rows: Sequence[Row]) -> str:
    arms = "; ".join(f"arm {row['number']} {_share(row)}" for row in rows)
    return escape(arms)
