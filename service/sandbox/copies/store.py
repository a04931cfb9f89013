"""Rows of an open copy that are read, changed and added while planting. Standard library only."""

import sqlite3
from contextlib import suppress
from random import Random

from service.sandbox.copies.domain import Value
from service.sandbox.copies.schema import Link, Schema, Table, quoted
from service.sandbox.copies.source import Cell
from service.sandbox.copies.write import drop_orphans

_MOST_ROWS = 150
_DEPTH = 4


class Store:
    """One table: the rows it has, and what is to be written."""

    def __init__(self, db: sqlite3.Connection, table: Table) -> None:
        self.table = table
        self._db = db
        self._names = [quoted(column.name) for column in table.columns]
        self._ids = [table.rowid] if table.rowid else [self._names[p] for p in table.keys[0]]
        cells = ", ".join(self._ids + self._names)
        rows = db.execute(
            f"SELECT {cells} FROM {quoted(table.name)} LIMIT {_MOST_ROWS}"  # noqa: S608 - quoted
        ).fetchall()
        width = len(self._ids)
        self._found = [(row[:width], row[width:]) for row in rows]
        self._added: list[list[Cell]] = []
        self._updates: dict[int, list[tuple[Cell, ...]]] = {}
        self._sets: dict[tuple[int, ...], set[tuple[Cell, ...]]] = {}
        self._fresh = 0
        for key in table.keys:
            self._held(key)

    def _held(self, columns: tuple[int, ...]) -> set[tuple[Cell, ...]]:
        if columns not in self._sets:
            every = [row for _, row in self._found] + [tuple(row) for row in self._added]
            self._sets[columns] = {tuple(row[place] for place in columns) for row in every}
        return self._sets[columns]

    def redraw(self, place: int, pool: list[Value], share: float, random: Random) -> None:
        """Give a share of the rows that are there a value of the pool in one column."""
        self._updates[place] = [
            (random.choice(pool), *ids) for ids, _ in self._found if random.random() < share
        ]

    def any_row(self, random: Random) -> list[Cell]:
        """The cells of some row, or drawn from the domains where there is none."""
        if self._found:
            return list(random.choice(self._found)[1])
        columns = self.table.columns
        return [c.domain.draw(random) if c.domain.values else None for c in columns]

    def any_key(self, place: int, random: Random, among: int | None) -> Cell:
        """The value of some row that is there (one of the first); None if there is none."""
        return random.choice(self._found[:among])[1][place] if self._found else None

    def has(self, columns: tuple[int, ...], key: tuple[Cell, ...]) -> bool:
        """True if a row has these values in these columns."""
        return key in self._held(columns)

    def fresh(self, place: int) -> Cell:
        """A value that the column does not have yet."""
        domain = self.table.columns[place].domain
        for _ in range(1000):
            self._fresh += 1
            value = domain.fresh(self._fresh) if domain.values else f"x{self._fresh}".encode()
            if (value,) not in self._held((place,)):
                return value
        return None

    def add(self, row: list[Cell], fixed: frozenset[int]) -> bool:
        """Add a row, with fresh values where a key of its own is taken; False if it cannot be."""
        for key in self.table.keys:
            values = tuple(row[place] for place in key)
            if values not in self._held(key) and None not in values:
                continue
            free = [p for p in key if p not in fixed and p not in self.table.link_columns]
            if not free:
                return False
            row[free[-1]] = self.fresh(free[-1])
        for columns, held in self._sets.items():
            held.add(tuple(row[place] for place in columns))
        self._added.append(row)
        return True

    def write(self) -> None:
        """Write changes and new rows; the engine drops those that break a constraint."""
        table = quoted(self.table.name)
        where = " AND ".join(f"{name} IS ?" for name in self._ids)
        for place, values in self._updates.items():
            sql = f"UPDATE OR IGNORE {table} SET {self._names[place]} = ? WHERE {where}"  # noqa: S608
            with suppress(sqlite3.Error, OverflowError):
                self._db.executemany(sql, values)
        marks = ", ".join("?" * len(self._names))
        names = ", ".join(self._names)
        sql = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - quoted
        with suppress(sqlite3.Error, OverflowError):
            self._db.executemany(sql, self._added)


class Stores:
    """The tables that are planted in, opened when first asked for."""

    def __init__(self, db: sqlite3.Connection, schema: Schema) -> None:
        self._db = db
        self._schema = schema
        self._by_name = {table.name: table for table in schema.tables}
        self._open: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in self._open:
            self._open[name] = Store(self._db, self._by_name[name])
        return self._open[name]

    def table(self, name: str) -> Table:
        """The table of that name."""
        return self._by_name[name]

    def need_parent(
        self, link: Link, key: tuple[Cell, ...], random: Random, depth: int = 0
    ) -> None:
        """See to it that a row with this key is there, and its own parents too."""
        if None in key or link.parent not in self._by_name or depth > _DEPTH:
            return
        store = self[link.parent]
        if store.has(link.parent_columns, key):
            return
        row = store.any_row(random)
        for place, value in zip(link.parent_columns, key, strict=True):
            row[place] = value
        if store.add(row, frozenset(link.parent_columns)):
            for other in store.table.links:
                self.need_parent(other, tuple(row[p] for p in other.columns), random, depth + 1)

    def write(self) -> None:
        """Write every table; rows whose parent was refused are dropped."""
        for table in self._schema.tables:
            if table.name in self._open:
                self._open[table.name].write()
        drop_orphans(self._db, self._schema.tables, frozenset(self._open))
