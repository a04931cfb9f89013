"""A database's own text values, read through the sandbox within limits.

Database files may be hostile: nothing opens them in this process. A column is read by one query
that gives its distinct texts; what is longer than the limit is passed over in the engine itself.
"""

import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from service.sandbox.result import QueryResult
from service.text2sql.databases import Database
from service.text2sql.schema import Queries, Schema, Table, quoted

Reason = Literal["cut", "slow", "unreadable", "no_room"]
_UNFIT = frozenset({"Cc", "Cs", "Cn", "Co"})  # control signs, half characters, unassigned
_BLANKS = frozenset("\t\n\r")
_NUMERIC = ("INT", "REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL")


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds on what is read of one database; the first that is reached ends it."""

    column_values: int = 20_000
    """Distinct values of one column; further ones are left out."""
    value_chars: int = 80
    """Longer values are left out; nor may one have more than four times as many bytes."""
    values: int = 200_000
    """Of the whole database."""
    chars: int = 8_000_000
    """Of all values together."""
    column_s: float = 3.0
    """Processor time of one column's query, seconds."""
    total_s: float = 30.0
    """Seconds for the whole database."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column of which not all values were read: `cut` after some, else none of them."""

    table: str
    column: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """The distinct texts of one column, as they are written there."""

    table: str
    column: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class DatabaseValues:
    """What was read, and of which columns something is missing."""

    columns: tuple[ColumnValues, ...]
    left_out: tuple[LeftOut, ...]


async def read_values(
    executor: Queries, database: Database, schema: Schema, limits: ReadLimits
) -> DatabaseValues:
    """The text values of every table (not of views), those of numeric columns last.

    Raises NoFreeWorker, Unavailable, DatabaseUnusable; a column that cannot be read is left out.
    """
    read: list[ColumnValues] = []
    missing: list[LeftOut] = []
    room = limits
    stop_at = time.monotonic() + limits.total_s
    for table, column in _columns(schema):
        if room.values <= 0 or room.chars <= 0 or time.monotonic() >= stop_at:
            missing.append(LeftOut(table, column, "no_room"))
            continue
        found, reason = await _read(executor, database, table, column, room)
        if reason:
            missing.append(LeftOut(table, column, reason))
        if found:
            read.append(ColumnValues(table, column, found))
            chars = sum(map(len, found))
            room = replace(room, values=room.values - len(found), chars=room.chars - chars)
    return DatabaseValues(tuple(read), tuple(missing))


def _columns(schema: Schema) -> Iterator[tuple[str, str]]:
    tables = [table for table in schema.tables if table.kind == "table"]
    for numeric in (False, True):
        for table in tables:
            yield from ((table.name, name) for name in _of_kind(table, numeric))


def _of_kind(table: Table, numeric: bool) -> Iterator[str]:
    # Whatever a column declares, it may hold text; a numeric one seldom does.
    for column in table.columns:
        declared = column.type.upper()
        texts = any(mark in declared for mark in ("CHAR", "CLOB", "TEXT"))
        if numeric == (not texts and any(mark in declared for mark in _NUMERIC)):
            yield column.name


async def _read(
    executor: Queries, database: Database, table: str, column: str, limits: ReadLimits
) -> tuple[list[str], Reason | None]:
    result = await _query(executor, database, _sql(table, column, limits), limits)
    if result.status == "exec_error":  # a value that is not UTF-8 ends the query: take bytes
        blob = _sql(table, column, limits, as_blob=True)
        result = await _query(executor, database, blob, limits)
    if result.status != "ok":
        return [], "slow" if result.status == "timeout" else "unreadable"
    texts = (_text(row[0]) for row in result.rows)
    fit = [text for text in texts if text is not None and _fit(text)]
    return fit, "cut" if result.truncated else None


async def _query(
    executor: Queries, database: Database, sql: str, limits: ReadLimits
) -> QueryResult:
    most = max(1, min(limits.column_values, limits.values))
    return await executor.query(
        database.path, sql, timeout_s=limits.column_s, max_rows=most, max_bytes=limits.chars
    )


def _sql(table: str, column: str, limits: ReadLimits, *, as_blob: bool = False) -> str:
    name = quoted(column)
    value = f"CAST({name} AS BLOB)" if as_blob else name
    # length() of a text ends at a NUL, so its bytes are bounded too.
    return (
        f"SELECT DISTINCT {value} FROM {quoted(table)} WHERE typeof({name}) = 'text'"  # noqa: S608
        f" AND length(CAST({name} AS BLOB)) BETWEEN 1 AND {4 * limits.value_chars}"
        f" AND length({name}) <= {limits.value_chars}"
    )


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value["blob"]).decode()
    except (UnicodeDecodeError, ValueError, TypeError, KeyError):
        return None


def _fit(value: str) -> bool:
    """False for a value with signs that no question and no prompt can hold."""
    if value.isascii() and value.isprintable():
        return True
    return all(c in _BLANKS or unicodedata.category(c) not in _UNFIT for c in value)
