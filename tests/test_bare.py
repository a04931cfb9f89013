"""Aggregate queries whose bare columns are set to their extremes."""

import sqlite3
import time
from contextlib import closing

import pytest

from service.text2sql.bare import bare_variants

SETUP = """
CREATE TABLE t(id INTEGER PRIMARY KEY, g INT, name TEXT, n INT, same TEXT);
INSERT INTO t VALUES (1, 1, 'a', 5, 'x'), (2, 1, 'b', 6, 'x'), (3, 2, 'c', 7, 'y'),
    (4, 3, NULL, 1, 'z'), (5, 3, 'd', 2, 'z');
"""


def _results(sql: str) -> list[list[tuple[object, ...]]] | None:
    variants = bare_variants(sql)
    if variants is None:
        return None
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SETUP)
        return [db.execute(text).fetchall() for text in (sql, *variants)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT g, name FROM t GROUP BY g",
        "SELECT T.name, count(*) FROM t AS T WHERE g < 2 GROUP BY T.g",
        "SELECT name FROM t WHERE g = 3 GROUP BY g",
        "SELECT name, count(*) FROM t",
        'SELECT upper("name") AS u, g FROM t GROUP BY g',
        "SELECT x FROM (SELECT name AS x FROM t GROUP BY g)",
        "SELECT 1 UNION SELECT name FROM t GROUP BY g",
        "SELECT g FROM t WHERE name IN (SELECT name FROM t GROUP BY g)",
        "SELECT name, min(n), max(n) FROM t GROUP BY g",
    ],
)
def test_a_bare_column_that_differs_within_a_group_shows(sql: str) -> None:
    results = _results(sql)
    assert results is not None
    assert results[1] != results[2]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT g, same, count(*) FROM t GROUP BY g",
        "SELECT name, id FROM t GROUP BY id",
        "SELECT g, max(name) AS name FROM t GROUP BY g ORDER BY name",
        "SELECT count(*) c, sum(n) FROM t",
        "SELECT g gg, count(DISTINCT name) FROM t GROUP BY g HAVING count(*) > 1",
        "SELECT CASE WHEN g > 1 THEN 'big' ELSE same END, count(*) FROM t GROUP BY g",
        "SELECT (SELECT name FROM t AS u WHERE u.id = t.g), g FROM t GROUP BY g",
    ],
)
def test_what_a_group_fixes_stays_as_it_is(sql: str) -> None:
    results = _results(sql)
    assert results is None or results[0] == results[1] == results[2]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM t",
        "SELECT name, max(n) FROM t GROUP BY g",
        "SELECT name, count(*) OVER (PARTITION BY g) FROM t",
        "SELECT * FROM t GROUP BY g",
        "SELECT count(*) FROM t",
        "SELECT name FROM t WHERE n = (SELECT max(n) FROM t)",
        ")",
        "",
    ],
)
def test_without_bare_columns_there_are_no_variants(sql: str) -> None:
    assert bare_variants(sql) is None


@pytest.mark.parametrize("sql", ["(" * 300_000, "SELECT a, " * 100_000, "GROUP BY " * 100_000])
def test_a_long_text_takes_little_time(sql: str) -> None:
    start = time.perf_counter()
    bare_variants(sql)
    assert time.perf_counter() - start < 10
