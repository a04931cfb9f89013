"""Texts that fold to the same are the same statement; others stay apart."""

import sqlite3
from contextlib import closing

import pytest

from service.text2sql.fold import fold

SAME = [
    ("SELECT a FROM t", "select  A\n from T"),
    ("SELECT a FROM t", "  SELECT a FROM t ; "),
    ("SELECT a FROM t WHERE b = 'It''s  X'", "select A from T where B = 'It''s  X';"),
    (" SELECT 'x' ;", "select 'x'"),
    ('SELECT "A b" FROM t', 'select "A b"\tfrom t'),
]
APART = [
    ("SELECT 'a'", "SELECT 'A'"),
    ("SELECT 'a b'", "SELECT 'a  b'"),
    ("SELECT x'41'", "SELECT x '41'"),
    ('SELECT "a"', 'SELECT "A"'),
    ("SELECT 1", "SELECT 1;;"),
    ("SELECT a -- b\n, c", "SELECT a -- b , c"),
    ("SELECT É", "SELECT é"),
    ("SELECT 1\x0b", "SELECT 1"),
    ("SELECT 1", "SELECT 1\0"),
    ("SELECT 'a", "SELECT 'A'"),
    ("SELECT [a]", "SELECT [A]"),
    ("SELECT 1", "SELECT 1" + " " * 100_000),
    ("EXPLAIN QUERY PLAN SELECT 1 FROM t AS x", "EXPLAIN QUERY PLAN SELECT 1 FROM t AS X"),
    (" ;\nexplain query plan select 1 from T", " ;\nexplain query plan select 1 from t"),
    ("SELECT 1. e5, 'x'", "SELECT 1.e5, 'x'"),
    ("select 'a'", ".select .\0'a'\0."),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_blanks_and_a_last_semicolon_do_not_count(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_may_mean_something_else_stays_apart(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_engine_sees_one_statement(one: str, other: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute('CREATE TABLE t (a, b, "A b")')
        db.execute("INSERT INTO t VALUES (1, 'It''s  X', 2)")
        assert db.execute(one).fetchall() == db.execute(other).fetchall()
