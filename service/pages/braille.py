"""Curves of braille dots for a terminal: two dots across and four down in each character; pure."""

from collections.abc import Sequence

from service.pages.run_lines import averages

_EMPTY = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # left and right, from above


def curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """`height` lines of `width` characters, from the least value below to the largest above.

    More values than dots are averaged; fewer begin at the left. Equal ones lie in the middle.
    """
    levels = _levels(averages(values, 2 * width), 4 * height) if values else []
    cells = [[_EMPTY] * width for _ in range(height)]
    for column, level in enumerate(levels):
        before = levels[column - 1] if column else level
        # A jump is drawn as a line, from beside the dot before.
        for row in range(min(before + 1, level), max(before - 1, level) + 1):
            from_above = 4 * height - 1 - row
            cells[from_above // 4][column // 2] |= _DOTS[column % 2][from_above % 4]
    return ["".join(map(chr, line)) for line in cells]


def _levels(values: Sequence[float], count: int) -> list[int]:
    low, high = min(values), max(values)
    if high == low:
        return [count // 2] * len(values)
    return [round((value - low) / (high - low) * (count - 1)) for value in values]
