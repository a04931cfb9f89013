"""The same rows stored in the reverse order: a query whose answer changes rests on that order.

`PRAGMA reverse_unordered_selects` turns scans around, but not those under a GROUP BY; which row a
bare column takes its value from shows only when rows are stored otherwise. Standard library only.
"""

import sqlite3
from contextlib import suppress

from service.sandbox.copies.schema import quoted
from service.text2sql.tokens import tokens


def mirror(db: sqlite3.Connection, mentioned: set[str]) -> sqlite3.Connection:
    """A database in memory with the mentioned tables (lower case) reversed, and all views.

    All tables are taken where a view is mentioned. Raises sqlite3.Error.
    """
    found = db.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    views = any(kind == "view" and name.lower() in mentioned for kind, name, _ in found)
    other = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
    other.execute("BEGIN")
    for kind, name, sql in found:
        if kind == "table" and (views or name.lower() in mentioned):
            with suppress(sqlite3.Error):  # sqlite_sequence and the like
                other.execute(_without_rowid_alias(sql))
                _copy(db, other, name)
        elif kind == "view":
            other.execute(sql)
    other.execute("COMMIT")
    return other


def _copy(db: sqlite3.Connection, other: sqlite3.Connection, name: str) -> None:
    columns = db.execute(f"PRAGMA table_info({quoted(name)})").fetchall()
    names = ", ".join(quoted(column[1]) for column in columns)
    rows = db.execute(f"SELECT {names} FROM {quoted(name)}").fetchall()[::-1]  # noqa: S608
    marks = ", ".join("?" * len(columns))
    other.executemany(f"INSERT INTO {quoted(name)} ({names}) VALUES ({marks})", rows)  # noqa: S608


def _without_rowid_alias(sql: str) -> str:
    """CREATE TABLE so that no column fixes the order of storage.

    INTEGER PRIMARY KEY is the rowid; INT PRIMARY KEY is not, and has the same affinity.
    """
    words = []
    for token in tokens(sql):
        if token.word == "AUTOINCREMENT":
            continue
        words.append("INT" if token.word == "INTEGER" else token.text)
    text = " ".join(words)
    return text[: -len("WITHOUT ROWID")] if text.upper().endswith("WITHOUT ROWID") else text
