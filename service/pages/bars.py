"""Bar charts as inline SVG: readable in print and without colour, every number written out.

The filled part of a bar is what matters most in its chart (a finding that makes a question unfit, a
question answered right), the hatched part the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from service.pages.texts import cut, visible

_WIDTH, _LABEL, _NUMBER, _BAR, _STEP = 720, 230, 70, 18, 28
_LONGEST_LABEL = 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: `part` of `value` is filled, the rest hatched."""

    label: str
    value: int
    part: int


def bars(name: str, title: str, rows: Sequence[Bar], style: str = "bar") -> str:
    """Horizontal bars, one a row; `name` must be unique on the page, `style` is a CSS class."""
    most = max((bar.value for bar in rows), default=0) or 1
    height = _STEP * len(rows) + 4
    drawn = "".join(_bar(bar, n, most, name, style) for n, bar in enumerate(rows))
    described = visible("; ".join(f"{bar.label}: {bar.value}" for bar in rows))
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title>'
        f'<desc id="{name}-d">{escape(described)}</desc>{_hatch(name)}{drawn}</svg></figure>'
    )


def _hatch(name: str) -> str:
    return (
        f'<defs><pattern id="{name}-h" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="6" height="6" class="paper"/>'
        '<rect width="2" height="6" class="ink"/></pattern></defs>'
    )


def _bar(bar: Bar, place: int, most: int, name: str, style: str) -> str:
    top = place * _STEP + 4
    room = _WIDTH - _LABEL - _NUMBER
    filled, whole = room * bar.part / most, room * bar.value / most
    text_y = top + _BAR - 5
    label = escape(cut(visible(bar.label), _LONGEST_LABEL))
    rest = (
        f'<rect x="{_LABEL + filled:.1f}" y="{top}" width="{max(whole - filled, 1):.1f}" '
        f'height="{_BAR}" class="edge" fill="url(#{name}-h)"/>'
        if bar.value > bar.part
        else ""
    )
    full = (
        f'<rect x="{_LABEL}" y="{top}" width="{max(filled, 1):.1f}" height="{_BAR}" '
        f'class="{style}"/>'
        if bar.part
        else ""
    )
    return (
        f'<g><text x="{_LABEL - 10}" y="{text_y}" class="label">{label}</text>'
        f'{full}{rest}<text x="{_LABEL + whole + 8:.1f}" y="{text_y}">{bar.value}</text></g>'
    )
