"""Golds that rest on the order in which rows happen to be stored, and those that may."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.sandbox.backwards import MAX_BYTES, stored_backwards
from service.sandbox.limits import Limits
from tests.fixtures_audit import kinds, run, subject

SCRIPT = """
CREATE TABLE rating (movie TEXT, stars INTEGER);
INSERT INTO rating VALUES ('Alien', 5), ('Brazil', 5), ('Clue', 2);
CREATE TABLE keyed (id INTEGER PRIMARY KEY, a);
INSERT INTO keyed VALUES (1, 'x'), (2, 'y');
CREATE TABLE bare (a PRIMARY KEY, b) WITHOUT ROWID;
INSERT INTO bare VALUES (1, 'x'), (2, 'y');
CREATE TABLE made (a, twice AS (2 * a));
INSERT INTO made (a) VALUES (1), (2);
CREATE VIRTUAL TABLE words USING fts5(word);
INSERT INTO words VALUES ('one'), ('two');
CREATE TABLE "odd ""name" (a);
INSERT INTO "odd ""name" VALUES (1), (2);
CREATE TABLE parent (id PRIMARY KEY);
CREATE TABLE child (id REFERENCES parent(id) ON DELETE CASCADE);
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1), (2);
CREATE TRIGGER never BEFORE DELETE ON rating BEGIN SELECT raise(ABORT, 'no'); END;
"""


@pytest.fixture
def films(make_database: Callable[[str, str], Path]) -> Path:
    return make_database("films", SCRIPT)


@pytest.mark.parametrize(
    ("gold", "found"),
    [
        ("SELECT stars, movie FROM rating GROUP BY stars", ["nondeterministic"]),
        ("SELECT movie, max(stars) FROM rating", ["nondeterministic"]),
        ("SELECT stars, min(movie) FROM rating GROUP BY stars", []),
        ("SELECT movie FROM rating ORDER BY stars DESC, movie LIMIT 1", []),
        ("SELECT movie FROM rating WHERE rowid = 1", []),
        ("SELECT count(*) FROM words, bare, made, keyed", []),
    ],
)
def test_a_gold_may_not_rest_on_the_order_of_storage(
    films: Path, gold: str, found: list[str]
) -> None:
    before = films.read_bytes()
    row = {"db_id": "films", "question": "?", "SQL": gold}
    assert kinds(run(subject([row], films.parents[1]))).get(0, []) == found
    assert films.read_bytes() == before


def _all(path: Path, content: bytes | None = None) -> Iterator[tuple[str, list[object]]]:
    with closing(sqlite3.connect(path if content is None else ":memory:")) as connection:
        if content is not None:
            connection.deserialize(content)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words_%'"
        ).fetchall():
            quoted = name.replace('"', '""')
            yield name, connection.execute(f'SELECT * FROM "{quoted}"').fetchall()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_copy_holds_the_same_rows_those_without_a_key_turned_round(
    films: Path, journal: str
) -> None:
    with closing(sqlite3.connect(films)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
    content = stored_backwards(str(films), journal, Limits())
    assert content is not None
    was, now = dict(_all(films)), dict(_all(films, content))
    assert was.keys() == now.keys()
    for name, rows in was.items():
        turned = name in ("rating", 'odd "name', "parent", "child")
        assert now[name] == (rows[::-1] if turned else rows), name


def test_no_copy_is_made_of_what_is_too_large_or_no_database(tmp_path: Path) -> None:
    large, torn = tmp_path / "large", tmp_path / "torn"
    large.write_bytes(b"SQLite format 3\0" + bytes(MAX_BYTES))
    torn.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    for path in (large, torn, tmp_path / "none"):
        assert stored_backwards(str(path), "1", Limits()) is None
