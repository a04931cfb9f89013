"""What is read from a query's text, and what planting does to a copy."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from service.sandbox.copies.domain import Domain, domain_of
from service.sandbox.copies.facts import Condition, Facts, facts_of
from service.sandbox.copies.golds import from_image
from service.sandbox.copies.kinds import KINDS, kind_of
from service.sandbox.copies.literals import candidates, satisfies
from service.sandbox.copies.plant import plant
from service.sandbox.copies.schema import Schema
from tests.copies import SHOP, copies, database

AGE, CITY, JOINED = 3, 2, 5


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shop")
    return copies(folder / "c", database(folder / "shop.sqlite", SHOP), 10)


def _schema(paths: list[Path]) -> Schema:
    return Schema.from_json(json.loads((paths[0].parent / "manifest.json").read_text())["schema"])


def _conditions(paths: list[Path], sql: str) -> list[tuple[Any, ...]]:
    found = facts_of(sql, _schema(paths)).conditions
    return [(c.cell[0], c.cell[2], c.op, c.values, c.function, c.negated) for c in found]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("age > 30", [("customer", AGE, ">", (30,), "", False)]),
        ("30 < c.age", [("customer", AGE, ">", (30,), "", False)]),
        ("c.age <> -3.5", [("customer", AGE, "<>", (-3.5,), "", False)]),
        ('city = "Rome"', [("customer", CITY, "=", ("Rome",), "", False)]),
        ("city NOT LIKE '%om%'", [("customer", CITY, "LIKE", ("%om%",), "", True)]),
        ("city IN ('Rome', 'Oslo')", [("customer", CITY, "IN", ("Rome", "Oslo"), "", False)]),
        (
            "age BETWEEN 30 AND 40",
            [
                ("customer", AGE, ">=", (30,), "", False),
                ("customer", AGE, "<=", (40,), "", False),
            ],
        ),
        ("lower(city) = 'rome'", [("customer", CITY, "=", ("rome",), "LOWER", False)]),
        (
            "strftime('%Y', joined) = '2020'",
            [("customer", JOINED, "=", ("2020",), "STRFTIME(%Y)", False)],
        ),
        ("age + 1 > 30", []),
        ("age > (SELECT avg(age) FROM customer)", []),
        ("'a' = 'a'", []),
    ],
)
def test_conditions_are_found_with_their_columns(
    shop: list[Path], where: str, expected: list[tuple[Any, ...]]
) -> None:
    sql = f"SELECT name FROM customer AS c WHERE {where}"
    found = _conditions(shop, sql)
    assert found == expected


def test_joins_groups_counts_and_tables_are_found(shop: list[Path]) -> None:
    facts = facts_of(
        "SELECT c.city FROM customer c JOIN `order` AS o ON c.id = o.customer_id "
        "WHERE c.id IN (SELECT customer_id FROM [order]) GROUP BY c.city "
        "HAVING count(*) >= 3 ORDER BY 1 LIMIT 5",
        _schema(shop),
    )
    assert facts.tables == (("customer", 0), ("order", 0), ("order", 1))
    assert (("customer", 0, 0), ("order", 0, 1)) in facts.joins
    assert (("customer", 0, 0), ("order", 1, 1)) in facts.joins
    assert facts.groups == (("customer", 0, CITY),)
    assert facts.counts == (3, 5)
    assert not facts.not_in


@pytest.mark.parametrize("sql", ["x NOT IN (SELECT y FROM t)", "NOT a.x IN (SELECT y FROM t)"])
def test_a_not_in_subquery_is_noticed(shop: list[Path], sql: str) -> None:
    text = sql.replace("a.x", "id").replace("x", "id").replace("y FROM t", "id FROM customer")
    assert facts_of(f"SELECT 1 FROM customer WHERE {text}", _schema(shop)).not_in


@pytest.mark.parametrize(
    "sql",
    ["", "(((", "SELECT FROM WHERE = = <", "= 1", "BETWEEN", "IN (", "LIKE", "a.b.c = .", "'"],
)
def test_nonsense_has_no_facts_and_does_no_harm(shop: list[Path], sql: str) -> None:
    assert isinstance(facts_of(sql, _schema(shop)), Facts)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM customer WHERE " + "(" * 100_000 + "age = 1",
        "SELECT 1 FROM customer WHERE " + "age = 1 AND " * 50_000,
        "SELECT 1 FROM customer WHERE " + "(age = 1 OR " * 900,
        "SELECT 1 FROM customer WHERE " + "abs(" * 1900 + "age = 1",
        "SELECT 1 FROM " + "customer, " * 1900 + "customer WHERE age = 1",
    ],
)
def test_a_long_query_takes_little_time(shop: list[Path], sql: str) -> None:
    start = time.perf_counter()
    facts_of(sql, _schema(shop))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("op", "value", "kind", "within"),
    [
        (">", 30, "int", {29, 30, 31}),
        ("=", 2.5, "int", {1, 2, 3}),
        (">", 30, "real", {29, 29.5, 30, 30.5, 31}),
        ("=", "7", "int", {6, 7, 8}),
        ("=", "Rome", "text", {"Rome", "ROME", "Rome ", "Romex", "xRome", "Rom"}),
        ("LIKE", "%om%", "text", {"om", "OM", "omb", "aom", "aomb", "o", "m"}),
        ("LIKE", "a_c", "text", {"ac"[:1]}),
        (">", "2020-01-01", "date", {"2020-01-01", "2019-12-31", "2020-01-02"}),
    ],
)
def test_values_at_and_beside_a_literal_are_planted(
    op: str, value: Any, kind: str, within: set[Any]
) -> None:
    own: dict[str, list[Any]] = {
        "text": ["Oslo"],
        "date": ["2021-05-05"],
        "real": [1.5],
        "int": [4],
    }
    condition = Condition(("t", 0, 0), op, (value,))
    found = candidates(condition, Domain(kind, own[kind]), Random(1))
    assert within <= set(found) or (op == "LIKE" and any(satisfies(condition, v) for v in found))


def test_planted_dates_stay_dates_and_flags_stay_flags() -> None:
    dates = Domain("date", ["2019-03-04", "2021-12-31"])
    year = Condition(("t", 0, 0), "=", ("2020",), "STRFTIME(%Y)")
    found = candidates(year, dates, Random(0))
    assert "2020-03-04" in found
    assert all(dates.fits(value) for value in found)
    flags = domain_of([0, 1, 1, 0], "int", "INT", "vip")
    assert set(candidates(Condition(("t", 0, 0), "=", (1,)), flags, Random(0))) == {0, 1}


@pytest.mark.parametrize(
    ("pattern", "text", "held"),
    [
        ("%om%", "Rome", True),
        ("R_me", "rome", True),
        ("R_me", "Rooome", False),
        ("%", "", True),
        ("a%b%c", "aXbYc", True),
        ("a%b%c", "acb", False),
        ("a%a", "a", False),
    ],
)
def test_patterns_are_understood_as_the_engine_does(pattern: str, text: str, held: bool) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert db.execute("SELECT ? LIKE ?", (text, pattern)).fetchone() == (held,)
    assert satisfies(Condition(("t", 0, 0), "LIKE", (pattern,)), text) == held


def _planted(paths: list[Path], instance: int, *sqls: str, seed: int = 0) -> sqlite3.Connection:
    schema = _schema(paths)
    db = from_image(paths[instance].read_bytes())
    facts = tuple(facts_of(sql, schema) for sql in sqls)
    plant(db, schema, facts, kind_of(instance), Random(seed), 1)
    return db


JOINED_SQL = (
    "SELECT c.name FROM customer c JOIN \"order\" o ON o.customer_id = c.id WHERE c.city = 'Zug' "
    "AND o.units > 41 AND o.state LIKE '%void%' GROUP BY c.id HAVING count(*) > 2"
)


@pytest.mark.parametrize(
    "instance",
    [
        n
        for n, kind in enumerate(KINDS)
        if kind.empty < 1 and kind.witnesses > 11 and not kind.sparse
    ],
)
def test_rows_that_satisfy_all_conditions_and_all_but_one_are_there(
    shop: list[Path], instance: int
) -> None:
    found: set[tuple[int, int, int]] = set()
    for seed in range(4):
        with closing(_planted(shop, instance, JOINED_SQL, seed=seed)) as db:
            found |= set(
                db.execute(
                    "SELECT DISTINCT c.city = 'Zug', o.units > 41, o.state LIKE '%void%' FROM "
                    'customer c JOIN "order" o ON o.customer_id = c.id WHERE c.city IS NOT NULL '
                    "AND o.units IS NOT NULL AND o.state IS NOT NULL"
                )
            )
    assert {(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)} <= found


def test_groups_around_a_count_are_there(shop: list[Path]) -> None:
    sizes = set()
    for instance in (0, 1, 3, 4):
        with closing(_planted(shop, instance, JOINED_SQL)) as db:
            counted = 'SELECT count(*) FROM "order" GROUP BY customer_id'
            sizes |= {size for (size,) in db.execute(counted)}
    assert {1, 2, 3, 4} <= sizes


@pytest.mark.parametrize("instance", range(10))
def test_planting_keeps_keys_links_and_constraints(shop: list[Path], instance: int) -> None:
    keyed = (
        'SELECT * FROM customer c JOIN "order" o ON o.customer_id = c.id WHERE c.id = 77 '
        "AND o.id IN (5, 6) AND o.customer_id = 78 AND name = 'x'"
    )
    with closing(_planted(shop, instance, JOINED_SQL, keyed)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("SELECT count(*) FROM customer WHERE name IS NULL").fetchone() == (0,)


def test_planting_is_the_same_each_time_and_differs_by_seed(shop: list[Path]) -> None:
    images = []
    for seed in (0, 0, 1):
        with closing(_planted(shop, 1, JOINED_SQL, seed=seed)) as db:
            images.append(db.serialize())
    assert images[0] == images[1] != images[2]


STRICT = """
CREATE TABLE part(code TEXT PRIMARY KEY, kind TEXT CHECK (kind IN ('a', 'b')), size INT NOT NULL
    CHECK (size < 10), at TEXT, UNIQUE (kind, size)) WITHOUT ROWID;
INSERT INTO part VALUES ('p1', 'a', 1, '2020-01-01'), ('p2', 'b', 9, '2020-06-30');
CREATE TABLE node(id INTEGER PRIMARY KEY, up INT REFERENCES node(id), part TEXT
    REFERENCES part(code));
INSERT INTO node VALUES (1, 2, 'p1'), (2, 1, 'p2'), (3, NULL, NULL);
CREATE VIEW small AS SELECT * FROM part WHERE size < 5;
"""


def test_checks_without_rowid_cycles_and_views_survive_planting(tmp_path: Path) -> None:
    paths = copies(tmp_path / "c", database(tmp_path / "strict.sqlite", STRICT))
    sql = (
        "SELECT a.id FROM node a JOIN node b ON a.up = b.id JOIN small ON small.code = b.part "
        "WHERE small.size > 10 AND kind = 'zzz' AND at < '2020-03-01' AND a.id = 12"
    )
    for instance in range(8):
        with closing(_planted(paths, instance, sql)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            wrong = "SELECT count(*) FROM part WHERE size >= 10 OR kind NOT IN ('a', 'b')"
            assert db.execute(wrong).fetchone() == (0,)
