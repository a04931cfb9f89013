"""The type of each result column: from its values, since any SQLite value may be of any type."""

import math
import re
from collections.abc import Sequence
from datetime import date
from typing import Any

TYPES = ("integer", "real", "text", "date", "datetime", "boolean", "blob", "null")

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CLOCK = re.compile(
    r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?(Z|[+-][01]\d:?[0-5]\d)?", re.ASCII
)


def column_types(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], declared: Sequence[str | None] = ()
) -> list[str]:
    """One of TYPES per column; "null" where no row has a value.

    Texts are "date" (YYYY-MM-DD) or "datetime" where all of them are. Integers are "boolean" only
    where declared so and all 0 or 1. Where values are of several types, "text"; integers among
    reals are "real". `declared` are the types of the columns' origins, None where there is none.
    """
    kinds = []
    for place in range(len(columns)):
        values = [row[place] for row in rows if place < len(row) and row[place] is not None]
        said = declared[place] if place < len(declared) else None
        kinds.append(_type(values, (said or "").upper()))
    return kinds


def _type(values: list[Any], declared: str) -> str:
    found = {_value_type(value) for value in values}
    if not found:
        return "null"
    if found == {"integer"} and "BOOL" in declared and set(values) <= {0, 1}:
        return "boolean"
    if len(found) == 1:
        return found.pop()
    if found == {"integer", "real"}:
        return "real"
    return "datetime" if found == {"date", "datetime"} else "text"


def _value_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "real"
    if isinstance(value, bytes | bytearray | memoryview):
        return "blob"
    return _text_type(value) if isinstance(value, str) else "text"


def _text_type(value: str) -> str:
    day, _, clock = value.replace("T", " ", 1).partition(" ")
    if not _is_day(day):
        return "text"
    if not clock:
        return "date" if len(value) == len(day) else "text"
    return "datetime" if _CLOCK.fullmatch(clock) else "text"


def _is_day(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and date.fromisoformat(text) is not None
    except ValueError:  # such as 31 February
        return False


def is_moment(value: Any) -> bool:
    """Whether it is a date or a date with a time of day, as text."""
    return isinstance(value, str) and _text_type(value) != "text"


def is_finite_number(value: Any) -> bool:
    """Whether a chart can show it as a number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
