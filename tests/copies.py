"""Small databases and their altered copies, for the tests of service/sandbox/copies."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from service.sandbox.copies.build import build
from service.sandbox.copies.judge import CopyJudge
from service.sandbox.limits import Limits

SHOP = """
CREATE TABLE customer(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, age INT, vip INT, joined TEXT
);
CREATE TABLE "order"(
    id INTEGER PRIMARY KEY, customer_id INT REFERENCES customer(id), total REAL, state TEXT,
    units INT
);
INSERT INTO customer VALUES
    (1, 'Ann', 'Rome', 31, 1, '2020-01-05'), (2, 'Bob', 'Oslo', 45, 0, '2021-03-17'),
    (3, 'Cyd', 'Rome', 52, 1, '2020-11-30'), (4, 'Dee', 'Bern', 28, 0, '2019-07-07');
INSERT INTO "order" VALUES
    (1, 1, 10.5, 'paid', 1), (2, 1, 99.0, 'open', 2), (3, 2, 20.25, 'paid', 3),
    (4, 3, 5.75, 'paid', 4), (5, 3, 61.0, 'open', 5), (6, 4, 33.0, 'paid', 6);
"""


def database(path: Path, script: str) -> Path:
    """A database file made by a script."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


def copies(folder: Path, source: Path, instances: int = 8, seed: int = 0) -> list[Path]:
    """Copies built in this process."""
    folder.mkdir(parents=True)
    build(str(source), folder, seed, instances)
    return [folder / f"{n}.sqlite" for n in range(instances)]


def rows(path: Path, sql: str) -> list[Any]:
    """The rows of a query on a file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def judged(
    paths: list[Path], golds: str | list[str], *predictions: str, **task: Any
) -> list[dict[str, Any]]:
    """Answers of a new judge."""
    whole = {
        "copies": [str(path) for path in paths],
        "golds": [golds] if isinstance(golds, str) else golds,
        "predictions": list(predictions),
        "metric": "bird_ex",
        "seed": 0,
        "timeout_s": 5.0,
        "budget_s": 60.0,
    }
    return list(CopyJudge(Limits()).judge(whole | task))
