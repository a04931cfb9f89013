"""Shares as inline SVG: bars with their intervals, and curves over the number of samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from service.pages.texts import cut, visible

_WIDTH, _LABEL, _NUMBER, _BAR, _STEP = 720, 200, 190, 18, 30
_LONGEST_LABEL = 24
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 260, 60, 130, 12, 34


@dataclass(frozen=True, slots=True)
class ShareBar:
    """A share 0..1 with its interval; None for a share of nothing."""

    label: str
    share: float | None
    interval: tuple[float, float] | None
    note: str
    """Beside the number, such as `3 of 4`."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Shares 0..1 by number of samples, in rising order; `style` is a CSS class."""

    label: str
    points: Sequence[tuple[int, float]]
    style: str


def share_bars(name: str, title: str, rows: Sequence[ShareBar]) -> str:
    """Horizontal bars on a scale of 0 to 100 %, whiskers over them; `name` is unique on a page."""
    height = _STEP * len(rows) + 22
    grid = "".join(_tick(share, height) for share in _TICKS)
    drawn = "".join(_bar(bar, n) for n, bar in enumerate(rows))
    described = "; ".join(f"{bar.label}: {_told(bar)}" for bar in rows)
    return _figure(name, title, described, height, grid + drawn)


def curves(name: str, title: str, drawn: Sequence[Curve]) -> str:
    """Lines over k on a logarithmic scale, each point marked; no curve may be empty."""
    ks = sorted({k for curve in drawn for k, _ in curve.points})
    grid = "".join(_level(share) for share in _TICKS) + "".join(_k_label(k, ks) for k in ks)
    ends = _apart([_y(curve.points[-1][1]) for curve in drawn])
    lines = "".join(_curve(c, ks, end) for c, end in zip(drawn, ends, strict=True))
    described = "; ".join(
        f"{c.label} " + ", ".join(f"{share:.1%} at {k}" for k, share in c.points) for c in drawn
    )
    return _figure(name, title, described, _HEIGHT, grid + lines)


def _figure(name: str, title: str, described: str, height: int, inner: str) -> str:
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(visible(described))}</desc>{inner}</svg></figure>'
    )


def _told(bar: ShareBar) -> str:
    if bar.share is None or bar.interval is None:
        return "nothing judged"
    low, high = bar.interval
    return f"{bar.share:.1%} ({low:.1%} to {high:.1%}, {bar.note})"


def _x(share: float) -> float:
    return _LABEL + (_WIDTH - _LABEL - _NUMBER) * share


def _tick(share: float, height: int) -> str:
    x = f"{_x(share):.1f}"
    return (
        f'<line x1="{x}" x2="{x}" y1="0" y2="{height - 18}" class="grid"/>'
        f'<text x="{x}" y="{height - 4}" class="tick middle">{share:.0%}</text>'
    )


def _bar(bar: ShareBar, place: int) -> str:
    top = place * _STEP + 4
    text_y = top + _BAR - 4
    label = escape(cut(visible(bar.label), _LONGEST_LABEL))
    number = "none" if bar.share is None else f"{bar.share:.1%}"
    return (
        f'<g><text x="{_LABEL - 10}" y="{text_y}" class="label">{label}</text>{_filled(bar, top)}'
        f'<text x="{_x(1) + 14:.1f}" y="{text_y}">{number}'
        f'<tspan class="tick" dx="8">{escape(visible(bar.note))}</tspan></text></g>'
    )


def _filled(bar: ShareBar, top: int) -> str:
    if bar.share is None or bar.interval is None:
        return ""
    (low, high), middle = map(_x, bar.interval), top + _BAR / 2
    return (
        f'<rect x="{_LABEL}" y="{top}" width="{max(_x(bar.share) - _LABEL, 1):.1f}" '
        f'height="{_BAR}" class="bar"/><path class="whisker" d="M{low:.1f} {middle}H{high:.1f}'
        f'M{low:.1f} {middle - 5}v10M{high:.1f} {middle - 5}v10"/>'
    )


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def _level(share: float) -> str:
    y = _y(share)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="tick label">{share:.0%}</text>'
    )


def _k_x(k: int, ks: Sequence[int]) -> float:
    """Evenly by place, since the ks double."""
    room = _WIDTH - _LEFT - _RIGHT - 40
    return _LEFT + 20 + (room * ks.index(k) / (len(ks) - 1) if len(ks) > 1 else room / 2)


def _k_label(k: int, ks: Sequence[int]) -> str:
    return f'<text x="{_k_x(k, ks):.1f}" y="{_HEIGHT - 12}" class="tick middle">{k}</text>'


def _curve(curve: Curve, ks: Sequence[int], end_y: float) -> str:
    points = [(_k_x(k, ks), _y(share)) for k, share in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points)
    return (
        f'<g class="{curve.style}"><polyline points="{path}"/>{marks}</g>'
        f'<text x="{points[-1][0] + 12:.1f}" y="{end_y + 4:.1f}">{escape(curve.label)}</text>'
    )


def _apart(ys: Sequence[float], room: float = 16.0) -> list[float]:
    """The same heights, moved down where they would lie on one another."""
    moved = list(ys)
    last: float | None = None
    for n in sorted(range(len(ys)), key=lambda n: ys[n]):
        moved[n] = ys[n] if last is None else max(ys[n], last + room)
        last = moved[n]
    return moved
