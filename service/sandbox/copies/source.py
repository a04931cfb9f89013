"""Read a bounded sample of a database: rows, their parents, and what the catalogue says.

The file is opened read-only and immutable, and every statement has a deadline: what cannot be read
in time is left out. At most some hundred rows of a table are read, found by rowid, never by a scan.
Standard library only.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from service.sandbox.copies.schema import quoted

Cell = str | int | float | bytes | None
Row = tuple[Cell, ...]

_LONGEST = 4096
_LOOKED_UP = 50
_MOST_BYTES = 16 * 2**20
_HANDLER_OPS = 20_000


@dataclass(slots=True)
class SourceTable:
    """A table as the catalogue has it, and the rows sampled from it."""

    name: str
    sql: str
    columns: list[str]
    declared: list[str]
    not_null: list[bool]
    primary_key: tuple[int, ...]
    unique: list[tuple[int, ...]] = field(default_factory=list)
    foreign: list[tuple[tuple[int, ...], str, tuple[str, ...]]] = field(default_factory=list)
    rowid: str | None = None
    """A name for the rowid; None for WITHOUT ROWID."""
    whole: bool = True
    """All rows were read."""
    rows: list[Row] = field(default_factory=list)

    def place(self, column: str) -> int | None:
        """The position of the column of that name."""
        names = [name.lower() for name in self.columns]
        return names.index(column.lower()) if column.lower() in names else None


class Source:
    """One read-only connection with a deadline for each statement."""

    def __init__(self, path: str) -> None:
        self._until = float("inf")
        self.db = sqlite3.connect(
            f"file:{quote(path)}?mode=ro&immutable=1", uri=True, isolation_level=None
        )
        self.db.text_factory = _text
        for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self.db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
        self.db.set_progress_handler(lambda: time.monotonic() > self._until, _HANDLER_OPS)

    def catalogue(self) -> list[tuple[str, str, str, str]]:
        """(type, name, table, text) of everything that has a text, in order of creation."""
        return self.db.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL "
            "AND substr(name, 1, 7) <> 'sqlite_' ORDER BY rowid"
        ).fetchall()

    def kinds(self) -> dict[str, tuple[str, bool]]:
        """Kind (table, view, virtual, shadow) and WITHOUT ROWID, by name."""
        rows = self.db.execute("SELECT name, type, wr FROM pragma_table_list WHERE schema='main'")
        return {name: (kind, bool(wr)) for name, kind, wr in rows}

    def table(self, name: str, sql: str, without_rowid: bool) -> SourceTable:
        """The catalogue's part of a table; generated columns are left out."""
        every = self.db.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
        rows = [row for row in every if row[6] == 0]
        keyed = sorted((row[5], place) for place, row in enumerate(rows) if row[5])
        table = SourceTable(
            name,
            sql,
            [row[1] for row in rows],
            [row[2] or "" for row in rows],
            [bool(row[3]) for row in rows],
            tuple(place for _, place in keyed),
        )
        names = {row[1].lower() for row in every}
        free = (word for word in ("rowid", "_rowid_", "oid") if word not in names)
        table.rowid = None if without_rowid else next(free, None)
        table.unique = list(self._unique(table))
        table.foreign = list(self._foreign(table))
        return table

    def _unique(self, table: SourceTable) -> Iterator[tuple[int, ...]]:
        if table.primary_key:
            yield table.primary_key
        for _, index, unique, _, partial in self.db.execute(
            f"PRAGMA index_list({quoted(table.name)})"
        ).fetchall():
            parts = self.db.execute(f"PRAGMA index_info({quoted(index)})").fetchall()
            places = [table.place(part[2]) if part[2] else None for part in parts]
            key = tuple(place for place in places if place is not None)
            if unique and not partial and len(key) == len(parts) and key != table.primary_key:
                yield key

    def _foreign(
        self, table: SourceTable
    ) -> Iterator[tuple[tuple[int, ...], str, tuple[str, ...]]]:
        keys: dict[int, list[tuple[str, str, str | None]]] = {}
        for row in self.db.execute(f"PRAGMA foreign_key_list({quoted(table.name)})"):
            keys.setdefault(row[0], []).append((row[3], row[2], row[4]))
        for parts in keys.values():
            places = [table.place(column) for column, _, _ in parts]
            if None not in places:
                named = tuple(to for _, _, to in parts if to)
                yield tuple(p for p in places if p is not None), parts[0][1], named

    def sample(self, table: SourceTable, seeds: int, most: int, random: Random) -> None:
        """Fill the table's rows: all of a small one, some of a large one."""
        table.rows = self.read(table, "LIMIT ?", (most + 1,))
        table.whole = len(table.rows) <= most
        if table.whole:
            return
        if table.rowid is None:
            table.rows = table.rows[:seeds]
            return
        low, high = self._rowids(table)
        table.rows = table.rows[: seeds // 4]
        for _ in range(seeds):
            place = random.randint(low, high)
            tail = f"WHERE {table.rowid} >= ? ORDER BY {table.rowid} LIMIT 1"
            table.rows += self.read(table, tail, (place,))
        table.rows = list(dict.fromkeys(table.rows))

    def _rowids(self, table: SourceTable) -> tuple[int, int]:
        sql = f"SELECT min({table.rowid}), max({table.rowid}) FROM {quoted(table.name)}"  # noqa: S608
        low, high = self.db.execute(sql).fetchone()
        return int(low), int(high)

    def read(self, table: SourceTable, tail: str, values: Sequence[Cell] = ()) -> list[Row]:
        """Rows of a table, long values cut."""
        if not table.columns:
            return []
        cells = ", ".join(_short(quoted(name)) for name in table.columns)
        return self.rows(f"SELECT {cells} FROM {quoted(table.name)} {tail}", values)  # noqa: S608

    def holds(self, table: SourceTable, place: int, values: set[Cell]) -> bool:
        """True if all (at most some dozens) of these values are found in a column, in time."""
        some = sorted(values, key=repr)[:_LOOKED_UP]
        name = quoted(table.columns[place])
        marks = ", ".join("?" * len(some))
        sql = f"SELECT count(DISTINCT {name}) FROM {quoted(table.name)} WHERE {name} IN ({marks})"  # noqa: S608
        return self.rows(sql, some) == [(len(some),)]

    def rows(self, sql: str, values: Sequence[Cell] = (), timeout_s: float = 1.0) -> list[Row]:
        """The statement's rows; those read so far when its time is over or memory is short."""
        found: list[Row] = []
        with self._deadline(timeout_s):
            try:
                for row in self.db.execute(sql, values):
                    found.append(row)  # noqa: PERF402 - keeps what came before an error
            except (sqlite3.DataError, MemoryError):
                pass  # a value too long
            except sqlite3.OperationalError as error:
                if "interrupted" not in str(error):
                    raise
        return found

    @contextmanager
    def _deadline(self, timeout_s: float) -> Iterator[None]:
        self._until = time.monotonic() + timeout_s
        try:
            yield
        finally:
            self._until = float("inf")


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _short(name: str) -> str:
    return (
        f"CASE WHEN typeof({name}) IN ('text', 'blob') THEN substr({name}, 1, {_LONGEST})"
        f" ELSE {name} END"
    )
