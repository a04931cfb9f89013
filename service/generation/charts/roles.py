"""What each column of a result is for in a chart: a quantity, a time, a category, or nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from service.generation.charts.moments import ticks
from service.generation.result_types import is_finite_number, is_moment

Role = Literal["quantity", "time", "category", "identifier", "none"]
TimeFormat = Literal["datetime", "date", "year", "month"]

_YEARS = range(1000, 3000)
_MONTH = re.compile(r"[12]\d{3}-(0[1-9]|1[0-2])", re.ASCII)
_YEAR = re.compile(r"[12]\d{3}", re.ASCII)
_IS_YEAR = re.compile(r"(^|_|\s)(year|yr|jahr)s?$", re.IGNORECASE)
_IS_ID = re.compile(
    r"(^|[_\s.])(id|key|code|uuid|guid|zip|zipcode|postcode|phone)$|[_\s](number|no|nr)$",
    re.IGNORECASE,
)
_IS_CAMEL_ID = re.compile(r"[a-z](ID|Id)$")
_COUNTS = re.compile(r"^(count|sum|avg|min|max|total|round|abs)\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Channel:
    """One column: its place in the rows, its title, its role, and its distinct values."""

    place: int
    title: str
    role: Role
    distinct: int
    longest: int
    """Characters of its longest value."""
    missing: int
    time: TimeFormat | None = None
    is_boolean: bool = False
    ticks: tuple[int, ...] = ()
    """Milliseconds since 1970 (UTC) of the few moments of a time, which then mark its axis."""

    @property
    def field(self) -> str:
        """The name in the chart's data: no column name can break Vega-Lite's field syntax."""
        return f"f{self.place}"


def channels(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], types: Sequence[str]
) -> list[Channel]:
    """A channel for each column, in their order.

    An identifier names the rows where nothing else does, and is left out otherwise.
    """
    found = [
        _channel(place, name, [row[place] for row in rows], types[place])
        for place, name in enumerate(columns)
    ]
    identifiers = [channel for channel in found if channel.role == "identifier"]
    named = any(channel.role in ("category", "time") for channel in found)
    role: Role = "category" if len(identifiers) == 1 and not named else "none"
    return [replace(c, role=role) if c.role == "identifier" else c for c in found]


def _channel(place: int, name: str, values: list[Any], type_: str) -> Channel:
    present = [value for value in values if value is not None]
    time = _time(name, present, type_)
    role: Role = "time" if time else _role(name, present, type_)
    texts = {str(value) for value in present} if role != "none" else set()
    longest = max(map(len, texts), default=0)
    title = _title(name) or f"column {place + 1}"
    missing = len(values) - len(present)
    marks = ticks(texts) if time in ("year", "month", "date") else ()
    return Channel(
        place, title, role, len(texts), longest, missing, time, type_ == "boolean", marks
    )


def _title(name: str) -> str:
    # Vega-Lite writes titles into expressions of Vega and forgets to escape the backslash.
    shown = name.replace("\\", "\N{SET MINUS}")
    return "".join(c if c.isprintable() else " " for c in shown).strip()


def _time(name: str, present: list[Any], type_: str) -> TimeFormat | None:
    if not present:
        return None
    if type_ in ("date", "datetime"):
        is_time = all(is_moment(value) for value in present)
        return ("date" if type_ == "date" else "datetime") if is_time else None
    if type_ == "text" and all(isinstance(v, str) and _MONTH.fullmatch(v) for v in present):
        return "month"
    if type_ == "text" and all(isinstance(v, str) and _YEAR.fullmatch(v) for v in present):
        return "year" if _IS_YEAR.search(name) or len(present) == len(set(present)) else None
    if type_ == "integer" and _IS_YEAR.search(name) and all(v in _YEARS for v in present):
        return "year"
    return None


def _role(name: str, present: list[Any], type_: str) -> Role:
    if not present or type_ in ("blob", "null"):
        return "none"
    if type_ in ("integer", "real"):
        if is_identifier(name):
            return "identifier"
        return "quantity" if any(is_finite_number(value) for value in present) else "none"
    if any(isinstance(value, bytes | bytearray | memoryview) for value in present):
        return "none"
    return "category"


def is_identifier(name: str) -> bool:
    """Whether a column of that name numbers things and does not measure them."""
    stripped = name.strip()
    return not _COUNTS.match(stripped) and bool(
        _IS_ID.search(stripped) or _IS_CAMEL_ID.search(stripped)
    )
