"""Round numbers for an axis, and short texts for numbers; pure."""

import math
from collections.abc import Sequence

_STEPS = (1, 2, 2.5, 5, 10)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers that enclose low..high, at about `wanted` equal distances."""
    if high <= low:
        margin = abs(low) or 1.0
        low, high = (0.0, high + margin) if low >= 0 else (low - margin, 0.0)
    size = 10 ** math.floor(math.log10((high - low) / wanted))
    step = next(size * s for s in _STEPS if size * s * wanted >= (high - low) * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def whole_ticks(low: int, high: int, wanted: int = 5) -> list[int]:
    """Round whole numbers within low..high."""
    found = [int(t) for t in ticks(low, high, wanted) if t == int(t) and low <= t <= high]
    return found or [low]


def short(value: float) -> str:
    """Three digits that count: `0.125`, `1,240`, `5e-05`."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 0.001 else f"{value:.2g}"


def thinned(count: int, at_most: int) -> list[int]:
    """Indices of at most so many of `count` things, evenly spread from the first to the last."""
    if count <= at_most:
        return list(range(count))
    return sorted({round(n * (count - 1) / (at_most - 1)) for n in range(at_most)})


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean of each value with its neighbours, `width` in all where there are so many."""
    half = width // 2
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    found = []
    for place in range(len(values)):
        start, end = max(0, place - half), min(len(values), place + half + 1)
        found.append((sums[end] - sums[start]) / (end - start))
    return found
