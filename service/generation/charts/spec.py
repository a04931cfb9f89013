"""Vega-Lite for each shape: https://vega.github.io/vega-lite/docs/, version 6.

Fields are f0, f1, ... by a column's place, since Vega-Lite reads dots and brackets in a field's
name as a path; the columns' own names are the titles.
"""

from typing import Any

from service.generation.charts.roles import Channel, TimeFormat

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
MEASURE, AMOUNT = "measure", "amount"
"""Fields of a chart of several numbers, whose data holds one row for each of them."""
_AMOUNT: Spec = {"field": AMOUNT, "type": "quantitative", "title": "value"}
_MEASURE_COLOUR: Spec = {"field": MEASURE, "type": "nominal", "title": None, "sort": None}
_AXIS_FORMATS: dict[TimeFormat, str | None] = {
    "year": "%Y",
    "month": "%b %Y",
    "date": "%Y-%m-%d",
    "datetime": None,
}


def big_number(channel: Channel, *, is_number: bool) -> Spec:
    """One value, written large."""
    encoding = _quantity(channel) if is_number else _category(channel)
    encoding = {key: value for key, value in encoding.items() if key in ("field", "type")}
    if is_number:
        encoding["format"] = ",~r"
    return {
        "title": channel.title,
        "mark": {"type": "text", "fontSize": 48},
        "encoding": {"text": encoding},
    }


def line(time: Channel, number: Channel, series: Channel | None) -> Spec:
    """One number over time, a line for each series."""
    encoding = {"x": _time(time), "y": _quantity(number)}
    if series is not None:
        encoding["color"] = _colour(series)
    return {"mark": {"type": "line", "point": True, "tooltip": True}, "encoding": encoding}


def lines(time: Channel) -> Spec:
    """Several numbers over time, a line for each."""
    return {
        "mark": {"type": "line", "point": True, "tooltip": True},
        "encoding": {"x": _time(time), "y": _AMOUNT, "color": _MEASURE_COLOUR},
    }


def bars(name: Channel, number: Channel, stack: Channel | None, *, lies_down: bool) -> Spec:
    """A bar for each category, in the order of the rows; stacked where there are two."""
    along, across = ("y", "x") if lies_down else ("x", "y")
    encoding = {along: _category(name), across: _quantity(number)}
    if stack is not None:
        encoding["color"] = _colour(stack)
    return {"mark": {"type": "bar", "tooltip": True}, "encoding": encoding}


def grouped_bars(name: Channel, *, lies_down: bool) -> Spec:
    """Several numbers for each category, side by side."""
    along, across = ("y", "x") if lies_down else ("x", "y")
    encoding = {
        along: _category(name),
        across: _AMOUNT,
        f"{along}Offset": {"field": MEASURE, "type": "nominal", "sort": None},
        "color": _MEASURE_COLOUR,
    }
    mark = {"type": "bar", "tooltip": True}
    return {"mark": mark, "encoding": encoding}


def points(x: Channel, y: Channel, colour: Channel | None) -> Spec:
    """A point for each row."""
    across = _time(x) if x.time else {**_quantity(x), "scale": {"zero": False}}
    encoding = {"x": across, "y": {**_quantity(y), "scale": {"zero": False}}}
    if colour is not None:
        encoding["color"] = _colour(colour)
    return {"mark": {"type": "point", "tooltip": True}, "encoding": encoding}


def _time(channel: Channel) -> Spec:
    # Without marks of its own the axis chooses days, months or years by the span.
    form = _AXIS_FORMATS[channel.time or "datetime"] if channel.ticks else None
    marked = {"values": list(channel.ticks)} if channel.ticks else {}
    axis = {"axis": {"format": form, **marked}} if form else {}
    # Values are moments in UTC, or the axis would shift them by the reader's time zone.
    scale = {"scale": {"type": "utc"}}
    return {"field": channel.field, "type": "temporal", "title": channel.title, **axis, **scale}


def _quantity(channel: Channel) -> Spec:
    return {"field": channel.field, "type": "quantitative", "title": channel.title}


def _category(channel: Channel) -> Spec:
    # Sorted as the rows are: the SQL's own order.
    return {"field": channel.field, "type": "nominal", "title": channel.title, "sort": None}


def _colour(channel: Channel) -> Spec:
    return {"field": channel.field, "type": "nominal", "title": channel.title, "sort": None}
