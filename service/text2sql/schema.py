"""A database's schema as the engine tells it: tables, columns, keys, row counts, example values.

Read through the sandbox only, since database files may be hostile: nothing opens them in this
process. Every query has a time limit; what cannot be read in time is left out, never waited for.
Descriptions of columns come from files beside the database, where there are any.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from service.errors import DatabaseUnusable
from service.sandbox.result import QueryResult
from service.text2sql.databases import Database
from service.text2sql.descriptions import Descriptions, Signature, read_descriptions, signature

Value = str | int | float

_CATALOGUE_TIMEOUT_S = 10.0
_TABLE_TIMEOUT_S = 2.0
_CONTENTS_BUDGET_S = 20.0
"""Seconds for all row counts and examples together; later tables go without."""
_MAX_TABLES = 2_000
_MAX_COLUMNS = 2_000  # SQLite's own default
_HIDDEN = 1
_SAMPLED_ROWS = 200
_MAX_EXAMPLES = 3
_LONGEST_EXAMPLE = 40
_LONGEST_TEXT = 200
_SHADOWS = (
    *("data", "idx", "content", "docsize", "config", "segments", "segdir", "stat"),
    *("node", "parent", "rowid"),
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `primary_key` is its place in the key from 1 on, 0 outside of it."""

    name: str
    type: str
    not_null: bool
    primary_key: int
    examples: tuple[Value, ...] = ()
    """Distinct values from the first rows; long texts are cut and end in an ellipsis."""
    description: str = ""
    """What the column means, as a file beside the database says (text2sql/descriptions.py)."""
    value_description: str = ""
    """What its values mean, from the same file."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` refer to `parent_columns` of `parent`, pairwise."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view; `rows` is None for a view, and where counting took too long."""

    name: str
    kind: Literal["table", "view"]
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    rows: int | None = None

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Names of the key's columns, in key order."""
        keyed = sorted((c.primary_key, c.name) for c in self.columns if c.primary_key)
        return tuple(name for _, name in keyed)


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables and views of one database, in the order in which they were created."""

    db_id: str
    tables: tuple[Table, ...]
    warnings: tuple[str, ...] = ()
    """What could not be read of the descriptions."""


class Queries(Protocol):
    """The part of sandbox.Executor that is needed here."""

    async def query(
        self, database: Path, sql: str, *, timeout_s: float, max_rows: int, max_bytes: int = ...
    ) -> QueryResult:
        """Run one read-only statement."""


async def read_schema(executor: Queries, database: Database) -> Schema:
    """Read the schema with row counts, examples and descriptions.

    Raises DatabaseUnusable when the file cannot be read as SQLite (or ends its worker), or holds
    more than 2,000 tables, and NoFreeWorker.
    """
    reader = _Reader(executor, database)
    bare = [await reader.table(name, kind) for name, kind in await reader.names()]
    readable = {table.name.lower(): table for table in bare if table.columns}
    stop_at = time.monotonic() + _CONTENTS_BUDGET_S
    tables = []
    for table in readable.values():
        keys = await reader.foreign_keys(table, readable)
        in_time = time.monotonic() < stop_at
        full = await reader.with_contents(table) if in_time else table
        tables.append(replace(full, foreign_keys=keys))
    names = {table.name: [column.name for column in table.columns] for table in tables}
    found = await asyncio.to_thread(read_descriptions, database.path, names)
    described = tuple(_described(table, found) for table in tables)
    return Schema(database.db_id, described, tuple(found.warnings))


def _described(table: Table, found: Descriptions) -> Table:
    columns = []
    for column in table.columns:
        said = found.columns.get((table.name, column.name))
        if said:
            column = replace(
                column,
                description=said.description,
                value_description=said.value_description,
            )
        columns.append(column)
    return replace(table, columns=tuple(columns))


class SchemaCache:
    """Schemas of the databases used last; `size` of them are kept.

    Known by db_id, content hash, and size and time of the files that describe the database.
    """

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, str, Signature], Schema] = OrderedDict()

    async def get(self, executor: Queries, database: Database, sha256: str) -> Schema:
        """The schema of the file with that SHA-256, read at most once while it is kept."""
        key = (database.db_id, sha256, await asyncio.to_thread(signature, database.path))
        if key not in self._kept:
            self._kept[key] = await read_schema(executor, database)
        self._kept.move_to_end(key)
        schema = self._kept[key]
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return schema


Kind = Literal["table", "view"]
Rows = list[list[Any]]


class _Reader:
    """The catalogue queries on one database."""

    def __init__(self, executor: Queries, database: Database) -> None:
        self._executor = executor
        self._database = database

    async def names(self) -> list[tuple[str, Kind]]:
        """Tables and views, without virtual tables, their shadows and SQLite's own."""
        rows = await self._rows(
            "SELECT name, CASE WHEN sql LIKE 'CREATE VIRTUAL TABLE%' THEN 'virtual' ELSE type END"
            " FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY rowid",
            _MAX_TABLES,
        )
        virtual = [name for name, kind in rows if kind == "virtual"]
        hidden = {f"{name}_{suffix}" for name in virtual for suffix in _SHADOWS} | {*virtual}
        own = (row for row in rows if not str(row[0]).lower().startswith("sqlite_"))
        return [(str(name), kind) for name, kind in own if name not in hidden]

    async def table(self, name: str, kind: Kind) -> Table:
        """Columns without hidden ones; none at all for a view that no longer compiles."""
        pragma = f"PRAGMA table_xinfo({quoted(name)})"
        rows = await (self._rows if kind == "table" else self._try)(pragma, _MAX_COLUMNS)
        return Table(name, kind, tuple(_column(row) for row in rows if row[6] != _HIDDEN))

    async def foreign_keys(self, table: Table, tables: dict[str, Table]) -> tuple[ForeignKey, ...]:
        """The table's foreign keys in the order of their declaration."""
        rows = await self._try(f"PRAGMA foreign_key_list({quoted(table.name)})", _MAX_COLUMNS)
        by_id: dict[int, Rows] = defaultdict(list)
        for row in sorted(rows, key=lambda row: (-row[0], row[1])):
            by_id[row[0]].append(row)
        return tuple(_foreign_key(parts, tables) for parts in by_id.values())

    async def with_contents(self, table: Table) -> Table:
        """The table with its number of rows and example values, as far as both come in time.

        A view is left as it is: counting it would run whatever query it hides.
        """
        if table.kind == "view":
            return table
        name = quoted(table.name)
        values = ", ".join(_short(column.name) for column in table.columns)
        counted = await self._try(f"SELECT count(*) FROM {name}", 1)  # noqa: S608 - quoted
        sampled = await self._try(f"SELECT {values} FROM {name}", _SAMPLED_ROWS)  # noqa: S608
        columns = (
            replace(column, examples=_examples(row[i] for row in sampled))
            for i, column in enumerate(table.columns)
        )
        return replace(table, columns=tuple(columns), rows=counted[0][0] if counted else None)

    async def _try(self, sql: str, max_rows: int) -> Rows:
        result = await self._query(sql, max_rows, _TABLE_TIMEOUT_S)
        return result.rows if result.status == "ok" else []

    async def _rows(self, sql: str, max_rows: int) -> Rows:
        result = await self._query(sql, max_rows, _CATALOGUE_TIMEOUT_S)
        if result.status != "ok" or result.truncated:
            why = result.message or f"more than {max_rows} tables or columns"
            raise DatabaseUnusable(
                f"the schema of {self._database.db_id!r} cannot be read: {why}", param="db_id"
            )
        return result.rows

    async def _query(self, sql: str, max_rows: int, timeout_s: float) -> QueryResult:
        return await self._executor.query(
            self._database.path, sql, timeout_s=timeout_s, max_rows=max_rows, max_bytes=16 * 2**20
        )


def quoted(identifier: str) -> str:
    """The identifier in double quotes, safe inside a statement."""
    return '"' + identifier.replace('"', '""') + '"'


def _column(row: list[Any]) -> Column:
    _, name, declared, not_null, _, key, _ = row
    return Column(str(name), str(declared or ""), bool(not_null), int(key))


def _short(column: str) -> str:
    # Cut in the engine: a long text never travels, a blob not at all.
    name = quoted(column)
    return (
        f"CASE typeof({name}) WHEN 'blob' THEN NULL"
        f" WHEN 'text' THEN substr({name}, 1, {_LONGEST_TEXT + 1}) ELSE {name} END"
    )


def _examples(values: Iterable[Any]) -> tuple[Value, ...]:
    found: dict[Value, None] = {}
    for value in values:
        if len(found) == _MAX_EXAMPLES:
            break
        if isinstance(value, str):
            value = " ".join(value.split())
            if not 0 < len(value) <= _LONGEST_TEXT:
                continue
            if len(value) > _LONGEST_EXAMPLE:
                value = value[: _LONGEST_EXAMPLE - 1] + "…"
        if isinstance(value, str | int | float):
            found[value] = None
    return tuple(found)


def _foreign_key(parts: Rows, tables: dict[str, Table]) -> ForeignKey:
    parent = tables.get(str(parts[0][2]).lower())
    named = tuple(str(part[4]) for part in parts if part[4] is not None)
    # A key that names no parent columns means the parent's primary key.
    return ForeignKey(
        columns=tuple(str(part[3]) for part in parts),
        parent=parent.name if parent else str(parts[0][2]),
        parent_columns=named or (parent.primary_key if parent else ()),
    )
