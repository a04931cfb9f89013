"""Write the rows of a copy into a new SQLite file with the source's schema. Standard library only.

The engine has the last word: rows that a CHECK, NOT NULL or UNIQUE refuses are dropped, and so are
rows whose parent was. The same rows give the same bytes.
"""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass

from service.sandbox.copies.schema import Link, Schema, Table, quoted
from service.sandbox.copies.source import Cell

_PASSES = 12


@dataclass(frozen=True, slots=True)
class Blueprint:
    """Texts that recreate the source's schema."""

    encoding: str
    tables: dict[str, str]
    others: list[tuple[str, str]]
    """(name, text) of indexes and views."""


def write(
    path: str, blueprint: Blueprint, schema: Schema, rows: dict[str, list[list[Cell]]]
) -> None:
    """Write one copy."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA encoding = '{blueprint.encoding}'")
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        create(db, blueprint)
        for table in schema.tables:
            insert(db, table, rows[table.name])
        drop_orphans(db, schema.tables)
        db.execute("COMMIT")


def create(db: sqlite3.Connection, blueprint: Blueprint) -> list[str]:
    """Create tables, indexes and views; names of those that this engine cannot create."""
    failed = []
    for name, sql in [*blueprint.tables.items(), *blueprint.others]:
        try:
            db.execute(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            failed.append(name)
    return failed


def insert(db: sqlite3.Connection, table: Table, rows: list[list[Cell]]) -> None:
    """Insert the rows that the schema accepts."""
    if not table.columns:
        return
    names = ", ".join(quoted(column.name) for column in table.columns)
    marks = ", ".join("?" * len(table.columns))
    statement = f"INSERT OR IGNORE INTO {quoted(table.name)} ({names}) VALUES ({marks})"  # noqa: S608 - quoted
    for row in rows:
        with suppress(sqlite3.Error, OverflowError):
            db.execute(statement, row)


def drop_orphans(
    db: sqlite3.Connection, tables: tuple[Table, ...], changed: frozenset[str] | None = None
) -> None:
    """Delete rows (of the changed tables) whose parent is missing, until there are none."""
    by_name = {table.name: table for table in tables}
    statements = [
        _orphans(table, link, by_name[link.parent])
        for table in tables
        for link in table.links
        if link.parent in by_name and (changed is None or table.name in changed)
    ]
    for _ in range(_PASSES):
        before = db.total_changes
        for sql in statements:
            db.execute(sql)
        if db.total_changes == before:
            return


def _orphans(table: Table, link: Link, parent: Table) -> str:
    child = quoted(table.name)
    pairs = [
        (
            f"{child}.{quoted(table.columns[own].name)}",
            f"p.{quoted(parent.columns[theirs].name)}",
        )
        for own, theirs in zip(link.columns, link.parent_columns, strict=True)
    ]
    set_ = " AND ".join(f"{own} IS NOT NULL" for own, _ in pairs)
    equal = " AND ".join(f"{theirs} = {own}" for own, theirs in pairs)
    exists = f"SELECT 1 FROM {quoted(parent.name)} AS p WHERE {equal}"  # noqa: S608 - quoted
    return f"DELETE FROM {child} WHERE {set_} AND NOT EXISTS ({exists})"  # noqa: S608 - quoted
