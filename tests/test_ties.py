"""Queries rewritten so that ties are broken in two opposite ways."""

import sqlite3
import time
from contextlib import closing

import pytest

from service.text2sql.ties import order_variants, tie_variants
from service.text2sql.tokens import tokens, unquoted

SETUP = """
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, age INT, "limit" INT);
INSERT INTO t VALUES (1, 'ann', 30, 1), (2, 'bob', 30, 2), (3, 'Ann', 40, 3), (4, 'cy', 50, 4);
"""


def _results(variants: tuple[str, str] | None) -> list[list[tuple[object, ...]]]:
    assert variants is not None
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SETUP)
        return [db.execute(sql).fetchall() for sql in variants]


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT name FROM t ORDER BY age LIMIT 1", 1),
        ("SELECT name, id FROM t LIMIT 2", 2),
        ("SELECT id FROM t ORDER BY name LIMIT 1;", 1),
        ("SELECT name FROM t WHERE id <> 2 ORDER BY age < 0 LIMIT 1 -- ORDER BY id", 1),
        ("SELECT * FROM t ORDER BY age ASC LIMIT 1 OFFSET 1", 4),
        ("SELECT name FROM t WHERE id = (SELECT id FROM t ORDER BY age LIMIT 1)", 1),
        ("SELECT count(*) FROM (SELECT id, age FROM t ORDER BY 2 LIMIT 1) WHERE id = 1", 1),
        ("WITH c AS (SELECT id FROM t LIMIT 2) SELECT * FROM c", 1),
        ("SELECT name FROM t UNION SELECT age FROM t LIMIT 2", 1),
        ("SELECT age, count(*) FROM t GROUP BY age ORDER BY count(*) LIMIT 1", 2),
        ("SELECT DISTINCT name COLLATE BINARY FROM t LIMIT 1 /* ) */", 1),
        ("SELECT name COLLATE BINARY FROM t WHERE age <> 30 ORDER BY age < 0 LIMIT 1", 1),
        ("SELECT max(id, age), (SELECT 1), 'LIMIT' FROM t ORDER BY '(' LIMIT 1", 3),
    ],
)
def test_a_limit_through_ties_gives_two_results(sql: str, columns: int) -> None:
    ascending, descending = _results(tie_variants(sql, columns))
    assert ascending != descending


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT name FROM t ORDER BY id LIMIT 2", 1),
        ("SELECT age FROM t ORDER BY age LIMIT 2", 1),
        ("SELECT count(*) FROM t LIMIT 1", 1),
        ("SELECT name FROM t WHERE age = 50 LIMIT 1 ;  -- LIMIT", 1),
        ("SELECT name FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 2) ORDER BY 1", 1),
        ("SELECT row_number() OVER (ORDER BY id) FROM t ORDER BY 1 LIMIT 3", 1),
        ('SELECT "limit" FROM t ORDER BY "limit" LIMIT 3', 1),
        ("SELECT [limit], `age` FROM t ORDER BY id LIMIT 3", 2),
    ],
)
def test_a_limit_without_ties_gives_one_result(sql: str, columns: int) -> None:
    ascending, descending = _results(tie_variants(sql, columns))
    assert ascending == descending


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM t ORDER BY age",
        "SELECT 'LIMIT 1' FROM t",
        'SELECT "limit" FROM t',
        "SELECT 1 -- LIMIT 1",
        "SELECT 1 /* LIMIT 1",
        "LIMIT",
        ")) LIMIT 1",
        "",
    ],
)
def test_without_a_limit_there_are_no_variants(sql: str) -> None:
    assert tie_variants(sql, 1) is None


def test_ties_in_the_outermost_order_change_places_without_a_limit_too() -> None:
    ascending, descending = _results(order_variants("SELECT id FROM t ORDER BY age; -- x", 1))
    assert ascending == [(1,), (2,), (3,), (4,)]
    assert descending == [(2,), (1,), (3,), (4,)]


def test_a_query_without_order_and_limit_has_no_order_variants() -> None:
    assert order_variants("SELECT id FROM (SELECT id FROM t ORDER BY age)", 1) is None


def test_many_columns_are_capped_below_the_engine_s_limit() -> None:
    sql = f"SELECT {', '.join(['id'] * 2000)} FROM t ORDER BY age LIMIT 1"
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SETUP)
        for variant in tie_variants(sql, 2000) or ():
            assert len(db.execute(variant).fetchall()) == 1


@pytest.mark.parametrize(
    "sql", ["(" * 500_000, "SELECT 1 LIMIT " * 60_000, "'" * 999_999, "/*" * 400_000, "[" * 900_000]
)
def test_a_megabyte_of_anything_takes_little_time(sql: str) -> None:
    start = time.perf_counter()
    tie_variants(sql + " limit", 2000)
    assert time.perf_counter() - start < 10


def test_tokens_tell_strings_names_and_numbers_apart() -> None:
    sql = "SELECT a.\"b\"\"c\", 'd''e', x'00', 1.5e3 FROM [f g] /* h */ WHERE i>=-.5 -- j"
    found = [(token.kind, token.text) for token in tokens(sql)]
    assert ("quoted", '"b""c"') in found
    assert ("string", "'d''e'") in found
    assert ("number", "1.5e3") in found
    assert found[-4:] == [("word", "i"), ("sign", ">="), ("sign", "-"), ("number", ".5")]
    number = "1_000 + 0xff_ff - 1_0.2_5e1_0, 7_, x_1, _1"
    split = [token.text for token in tokens(number)]
    assert split[:5] == ["1_000", "+", "0xff_ff", "-", "1_0.2_5e1_0"]
    assert split[5:] == [",", "7", "_", ",", "x_1", ",", "_1"]
    assert [unquoted(text) for text in ('"b""c"', "'d''e'", "[f g]", "'open")] == [
        'b"c',
        "d'e",
        "f g",
        "open",
    ]
