"""One run with one row more says whether a LIMIT cuts ties, or says nothing; it is never wrong."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest

from service.text2sql.tie_probe import tie_probe
from service.text2sql.ties import tie_variants

SETUP = """
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, age INT, code TEXT, score);
INSERT INTO t VALUES (1, 'ann', 30, 'b', 1), (2, 'bob', 30, 'B', 1.0), (3, 'Ann', 40, 'c', NULL),
    (4, 'cy', 50, 'c ', NULL), (5, 'dee', 50, 'c', x'00');
"""
DECIDED = [
    ("SELECT name FROM t ORDER BY age LIMIT 1", True),
    ("SELECT name FROM t ORDER BY age DESC LIMIT 2", False),
    ("SELECT name FROM t ORDER BY age LIMIT 2;", False),
    ("SELECT id FROM t ORDER BY score DESC NULLS LAST LIMIT 2", True),
    ("SELECT id, age FROM t ORDER BY 2 DESC, 1 LIMIT 1", False),
    ("SELECT id, 0 - age AS age FROM t ORDER BY age LIMIT 9", None),  # no names and calls alone
    ("SELECT id, abs(age) AS a FROM t ORDER BY a LIMIT 1", True),
    ("SELECT length(name) AS id, age FROM t WHERE id > 2 ORDER BY id LIMIT 1", False),
    ("SELECT length(name) AS id, name FROM t WHERE id <> 4 ORDER BY id LIMIT 1", True),
    ("SELECT age, count(*) FROM t GROUP BY age ORDER BY count(*) DESC LIMIT 1", True),
    ("SELECT age FROM t GROUP BY age ORDER BY count(*) LIMIT 1", False),
    ("SELECT * FROM t ORDER BY t.age, max(id, 2) LIMIT 1", True),
    ("SELECT * FROM t ORDER BY age LIMIT 0", False),
    ("SELECT * FROM t ORDER BY age LIMIT 9", False),
    ("SELECT id FROM t ORDER BY name LIMIT 1", None),  # 'ann' and 'Ann' tie in this column
    ("SELECT name FROM t WHERE age > 40 ORDER BY code LIMIT 1", None),
    ("SELECT age FROM t ORDER BY age LIMIT 1", None),  # both rows that tie are the same
]
UNASKED = [
    "SELECT DISTINCT name FROM t ORDER BY age LIMIT 1",
    "SELECT name FROM t UNION SELECT code FROM t ORDER BY 1 LIMIT 1",
    "SELECT name, name FROM t ORDER BY name LIMIT 1",
    "SELECT id, * FROM t ORDER BY id LIMIT 1",
    "SELECT * FROM t ORDER BY 2 LIMIT 1",
    "SELECT id FROM t ORDER BY 2 LIMIT 1",
    "SELECT id FROM t ORDER BY age LIMIT 1 OFFSET 1",
    "SELECT id FROM t ORDER BY name COLLATE BINARY LIMIT 1",
    "SELECT id FROM t WHERE id IN (SELECT id FROM t ORDER BY age LIMIT 3) ORDER BY age LIMIT 1",
    "SELECT id FROM t ORDER BY age LIMIT 1 -- LIMIT",
    "WITH c AS (SELECT 1) SELECT id FROM t ORDER BY age LIMIT 1",
    "SELECT id FROM t LIMIT 1",
    "SELECT 1 LIMIT 1",
    f"SELECT id FROM t ORDER BY age LIMIT {'1' * 5000}",
    "",
]


@pytest.mark.parametrize(("sql", "cuts"), DECIDED)
def test_a_probe_says_whether_ties_are_cut_and_breaking_them_agrees(
    sql: str, cuts: bool | None
) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SETUP)
        probe = tie_probe(sql)
        columns = len(db.execute(sql).description)
        found = probe.cuts_ties(db.execute(probe.sql).fetchall(), columns) if probe else None
        variants = tie_variants(sql, columns) or ("", "")
        ascending, descending = (Counter(db.execute(variant).fetchall()) for variant in variants)
    assert found is cuts
    assert cuts is None or (ascending != descending) is cuts


@pytest.mark.parametrize("sql", UNASKED)
def test_other_queries_have_no_probe(sql: str) -> None:
    assert tie_probe(sql) is None


def test_an_alias_alone_cannot_be_asked_for_inside_a_call() -> None:
    probe = tie_probe("SELECT age AS a FROM t ORDER BY abs(a) LIMIT 1")
    assert probe is not None
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SETUP)
        with pytest.raises(sqlite3.OperationalError):
            db.execute(probe.sql)


def test_a_long_query_is_looked_at_in_time() -> None:
    assert tie_probe("SELECT " + "a, (" * 20_000 + " FROM t ORDER BY a LIMIT 1") is None
    assert tie_probe("SELECT a FROM t" + " from order by a" * 20_000 + " LIMIT") is None
