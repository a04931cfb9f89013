"""Gold SQL with its database and schema: the demo's, and that of a data folder if there is one."""

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from service.demo import build_demo, questions_path
from service.text2sql.schema import Column, ForeignKey, Schema, Table

DATA = Path(os.environ.get("TEST_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Gold:
    """One statement and where it runs."""

    sql: str
    database: Path
    schema: Schema


def demo_golds(folder: Path) -> list[Gold]:
    """The demo's questions on a demo database in the folder."""
    database = build_demo(folder)
    questions = json.loads(questions_path().read_text(encoding="utf-8"))
    return [Gold(item["SQL"], database, schema_of(database)) for item in questions]


def data_golds(every: int = 1) -> list[Gold]:
    """Every n-th distinct statement of the data folder; none where it is not there."""
    found = {}
    for questions in sorted(DATA.glob("*/*.json")):
        for item in json.loads(questions.read_text(encoding="utf-8")):
            file = f"{item['db_id']}/{item['db_id']}.sqlite"
            found[item["SQL"], questions.parent / "databases" / file] = None
    return [Gold(sql, path, schema_of(path)) for sql, path in list(found)[::every]]


@cache
def schema_of(database: Path) -> Schema:
    """The schema, read here and now: for files of our own only."""
    connection = sqlite3.connect(f"file:{database}?mode=ro&immutable=1", uri=True)
    try:
        return Schema(database.stem, tuple(_tables(connection)))
    finally:
        connection.close()


def _tables(connection: sqlite3.Connection) -> Iterator[Table]:
    named = "SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view')"
    for name, kind in connection.execute(named).fetchall():
        columns = connection.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchall()
        keys = connection.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,)).fetchall()
        yield Table(
            name,
            kind,
            tuple(Column(c[1], c[2], bool(c[3]), c[5]) for c in columns),
            tuple(ForeignKey((k[3],), k[2], (k[4],)) for k in keys),
        )
