"""A Vega-Lite chart that fits a result's shape, or none where none fits."""

from collections.abc import Sequence
from typing import Any

from service.generation.charts import shapes, spec
from service.generation.charts.moments import moment
from service.generation.charts.roles import Channel, channels
from service.generation.result_types import is_finite_number

MAX_ROWS = 1_000
MAX_COLUMNS = 20
MAX_VALUES = 6_000
"""Values that a chart carries along."""
_LARGEST_EXACT = 2**53  # JavaScript's
_LONGEST_VALUE = 200
_LONGEST_TITLE = 120


def chart(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], types: Sequence[str]
) -> dict[str, Any] | None:
    """A Vega-Lite specification (version 6) with its data, or None.

    `types` are those of result_types.column_types, one per column. A time and numbers give lines;
    categories and numbers bars; two numbers points; one value a large text. None for an empty
    result, more than MAX_ROWS rows, too many categories or series, identifiers or texts alone.
    The same result always gives the same chart.
    """
    if not rows or len(rows) > MAX_ROWS or not 0 < len(columns) <= MAX_COLUMNS:
        return None
    if len(types) != len(columns) or any(len(row) != len(columns) for row in rows):
        return None
    titles = [_short(name, _LONGEST_TITLE) for name in columns]
    found = channels(titles, rows, types)
    drawn = shapes.fitting(found, rows)
    if drawn is None:
        return None
    if len(rows) * len(drawn.shows) > MAX_VALUES:
        return None
    return {"$schema": spec.SCHEMA, "data": {"values": _data(drawn, rows)}, **drawn.spec}


def _data(drawn: shapes.Drawing, rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    wide = [{c.field: _value(row[c.place], c) for c in drawn.shows} for row in rows]
    if not drawn.measures:
        return wide
    titles = _distinct([channel.title for channel in drawn.measures])
    kept = [channel for channel in drawn.shows if channel not in drawn.measures]
    return [
        {c.field: row[c.field] for c in kept}
        | {spec.MEASURE: title, spec.AMOUNT: row[channel.field]}
        for row in wide
        for channel, title in zip(drawn.measures, titles, strict=True)
    ]


def _distinct(titles: Sequence[str]) -> list[str]:
    return [
        title if titles.count(title) == 1 else f"{title} ({titles[: n + 1].count(title)})"
        for n, title in enumerate(titles)
    ]


def _value(value: Any, channel: Channel) -> Any:
    if value is None:
        return "(missing)" if channel.role == "category" else None
    if channel.role == "quantity":
        return _number(value)
    if channel.role == "time":
        return moment(str(value))
    if channel.is_boolean:
        return "true" if value else "false"
    return _short(str(value), _LONGEST_VALUE)


def _number(value: Any) -> int | float | None:
    if not is_finite_number(value):
        return None
    return float(value) if abs(value) > _LARGEST_EXACT else value


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
