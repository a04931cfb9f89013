"""Which chart fits the roles of a result's columns: one function a shape, the first that fits."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.generation.charts import spec
from service.generation.charts.roles import Channel

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A specification without data, the columns it shows, and which of them share one axis."""

    spec: dict[str, Any]
    shows: tuple[Channel, ...]
    measures: tuple[Channel, ...] = ()


MAX_CATEGORIES = 50
MAX_SERIES = 12
MAX_MEASURES = 6
MAX_BARS = 80
_MANY_BARS = 8
_LONG_NAME = 12


def fitting(found: Sequence[Channel], rows: Rows) -> Drawing | None:
    """The chart of the first shape that fits, without data, or None."""
    used = [channel for channel in found if channel.role != "none"]
    by_role = {
        role: [channel for channel in used if channel.role == role]
        for role in ("quantity", "time", "category")
    }
    numbers, times, names = by_role["quantity"], by_role["time"], by_role["category"]
    if len(rows) == 1:
        return _single(found, numbers)
    if not numbers or len(numbers) > MAX_MEASURES:
        return None
    if times and len(times) == 1:
        return _over_time(times[0], names, numbers, rows)
    if times:
        return None
    if names:
        return _by_category(names, numbers, rows)
    return _points(numbers)


def _single(found: Sequence[Channel], numbers: Sequence[Channel]) -> Drawing | None:
    if len(found) != 1 or not found[0].distinct:
        return None
    shown = found[0] if numbers else replace(found[0], role="category", time=None)
    return Drawing(spec.big_number(shown, is_number=bool(numbers)), (shown,))


def _over_time(
    time: Channel, names: Sequence[Channel], numbers: Sequence[Channel], rows: Rows
) -> Drawing | None:
    if time.distinct < 2 or len(names) > 1 or (names and len(numbers) > 1):
        return None
    number = numbers[0]
    if names:
        series = names[0]
        fits = series.distinct <= MAX_SERIES and _is_key(rows, (time, series))
        return Drawing(spec.line(time, number, series), (time, series, number)) if fits else None
    if not _is_key(rows, (time,)):
        drawn = Drawing(spec.points(time, number, None), (time, number))
        return drawn if len(numbers) == 1 else None
    if len(numbers) == 1:
        return Drawing(spec.line(time, number, None), (time, number))
    return Drawing(spec.lines(time), (time, *numbers), tuple(numbers))


def _by_category(
    names: Sequence[Channel], numbers: Sequence[Channel], rows: Rows
) -> Drawing | None:
    name, number = names[0], numbers[0]
    if len(names) > 2 or not 2 <= name.distinct <= MAX_CATEGORIES:
        return None
    lies_down = name.longest > _LONG_NAME or name.distinct > _MANY_BARS
    if len(names) == 2:
        other = names[1]
        fits = len(numbers) == 1 and other.distinct <= MAX_SERIES and _is_key(rows, (name, other))
        bars = spec.bars(name, number, other, lies_down=lies_down)
        return Drawing(bars, (name, other, number)) if fits else None
    if not _is_key(rows, (name,)):
        return _coloured_points(name, numbers)
    if len(numbers) == 1:
        return Drawing(spec.bars(name, number, None, lies_down=lies_down), (name, number))
    if name.distinct * len(numbers) > MAX_BARS:
        return None
    grouped = spec.grouped_bars(name, lies_down=lies_down)
    return Drawing(grouped, (name, *numbers), tuple(numbers))


def _coloured_points(name: Channel, numbers: Sequence[Channel]) -> Drawing | None:
    if len(numbers) != 2 or name.distinct > MAX_SERIES:
        return None
    return Drawing(spec.points(numbers[0], numbers[1], name), (name, *numbers))


def _points(numbers: Sequence[Channel]) -> Drawing | None:
    if len(numbers) != 2 or min(channel.distinct for channel in numbers) < 2:
        return None
    return Drawing(spec.points(numbers[0], numbers[1], None), tuple(numbers))


def _is_key(rows: Rows, parts: Sequence[Channel]) -> bool:
    keys = {tuple(str(row[part.place]) for part in parts) for row in rows}
    return len(keys) == len(rows)
