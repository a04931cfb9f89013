"""SQL in other dialects: what is written, what is warned of, and the rows that DuckDB gives."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pytest
import yaml

from service.errors import InvalidRequest
from service.generation.dialects import DIALECTS, transpile
from service.generation.portability.rules import RULES
from service.text2sql.schema import Column, Schema, Table
from tests.fixtures_duckdb import bag, duck
from tests.fixtures_gold import DATA, Gold, data_golds, demo_golds
from tests.fixtures_postgres import missing, postgres

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "dialects.yaml").read_text())


def table(name: str, /, **columns: str) -> Table:
    made = (Column(n, t, False, int(n == "id")) for n, t in columns.items())
    return Table(name, "table", tuple(made))


SHOP = Schema(
    "shop",
    (
        table("customer", id="INTEGER", name="TEXT", city="TEXT"),
        table(
            "orders",
            id="INTEGER",
            customer_id="INTEGER",
            amount="REAL",
            units="INTEGER",
            ordered_on="TEXT",
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['dialect']}: {case['sql']}")
def test_a_query_is_written_and_warned_of(case: dict[str, str | list[str]]) -> None:
    done = transpile(str(case["sql"]), str(case["dialect"]), SHOP)
    assert done.sql == case["gives"]
    assert [warning.split(":")[0] for warning in done.warnings] == case["warns"]


def test_the_cases_show_every_warning() -> None:
    shown = {name for case in CASES for name in case["warns"]}
    assert shown >= {rule.name for rule in RULES} - {"double quotes"}


def test_without_a_schema_a_name_in_double_quotes_is_warned_of() -> None:
    done = transpile('SELECT name FROM customer WHERE city = "Graz"', "postgres")
    assert done.sql == 'SELECT name FROM customer WHERE city = "Graz"'
    assert [warning.split(":")[0] for warning in done.warnings] == ["double quotes"]


def test_a_warning_names_the_dialect_and_shows_the_place() -> None:
    done = transpile("SELECT units / 2 FROM orders", "duckdb", SHOP)
    assert done.warnings == (
        "integer division: SQLite cuts the fraction off when both sides are integers, duckdb does "
        "not (units / 2)",
    )


@pytest.mark.parametrize(
    ("name", "near"), [("postgresql", "postgres"), ("DuckDb2", "duckdb"), ("klingon", "oracle")]
)
def test_an_unknown_dialect_is_refused_with_the_known_ones(name: str, near: str) -> None:
    with pytest.raises(InvalidRequest, match=near) as raised:
        transpile("SELECT 1", name)
    assert raised.value.param == "dialect"
    assert name in raised.value.message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_carries_a_plain_query_over(dialect: str) -> None:
    done = transpile("SELECT c.name FROM customer AS c WHERE c.id > 3", dialect.upper(), SHOP)
    assert done.sql is not None
    assert done.warnings == ()


def test_what_sqlglot_must_not_parse_is_not_carried_over() -> None:
    assert transpile("SELECT " + "(" * 60 + "1" + ")" * 60, "duckdb").sql is None


def differing(golds: Iterable[Gold]) -> tuple[int, list[str]]:
    """How many statements DuckDB ran without a warning, and those whose rows are others there."""
    engines: dict[Path, duckdb.DuckDBPyConnection] = {}
    silent, wrong = 0, []
    for gold in golds:
        done = transpile(gold.sql, "duckdb", gold.schema)
        if done.sql is None or done.warnings:
            continue
        silent += 1
        if gold.database not in engines:
            engines[gold.database] = duck(gold.database, gold.schema)
        if bag(engines[gold.database].execute(done.sql).fetchall()) != bag(rows(gold)):
            wrong.append(gold.sql)
    for engine in engines.values():
        engine.close()
    return silent, wrong


def rows(gold: Gold) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(f"file:{gold.database}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    found = connection.execute(gold.sql).fetchall()
    connection.close()
    return found


def test_without_a_warning_the_demo_gives_the_same_rows_in_duckdb(tmp_path: Path) -> None:
    silent, wrong = differing(demo_golds(tmp_path))
    assert wrong == []
    assert silent > 25


@pytest.mark.skipif(not DATA.exists(), reason=f"gold SQL: no {DATA.name} folder")
def test_without_a_warning_published_gold_gives_the_same_rows_in_duckdb() -> None:
    # One database holds texts in a column of numbers, which DuckDB does not load.
    mixed = "employee_hire_evaluation"
    golds = [gold for gold in data_golds(every=4) if gold.database.stem != mixed]
    published = [gold for gold in golds if "train" not in gold.database.parts]
    silent, wrong = differing(published)
    assert wrong == []
    assert silent > 100


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_without_a_warning_the_demo_gives_the_same_rows_in_postgresql(tmp_path: Path) -> None:
    golds = demo_golds(tmp_path)
    silent, wrong = 0, []
    with postgres() as server:
        server.load(golds[0].database, golds[0].schema)
        for gold in golds:
            done = transpile(gold.sql, "postgres", gold.schema)
            if done.sql is None or done.warnings:
                continue
            silent += 1
            if as_texts(server.run(done.sql)) != as_texts(rows(gold)):
                wrong.append(gold.sql)
    assert wrong == []
    assert silent > 25


def as_texts(found: Sequence[Sequence[object]]) -> Counter[tuple[str, ...]]:
    """Rows as psql writes them: NULL as an empty text; numbers by nine digits."""
    return Counter(tuple(as_text(value) for value in row) for row in found)


def as_text(value: object) -> str:
    try:
        return f"{float(str(value)):.9g}"
    except ValueError:
        return "" if value is None else str(value)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT units / 2 FROM orders",
        "SELECT city, name, COUNT(*) FROM customer GROUP BY city",
        "SELECT rowid FROM customer",
        "SELECT julianday(ordered_on) FROM orders",
        "SELECT AVG(ordered_on) FROM orders",
        "SELECT CAST(name AS INTEGER) FROM customer",
        "SELECT name FROM customer ORDER BY name COLLATE RTRIM",
        "SELECT name FROM customer WHERE name = 3",
    ],
)
def test_what_is_warned_of_does_differ_or_fail_in_duckdb(sql: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    made = sqlite3.connect(path)
    made.executescript(
        "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT);"
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, amount REAL,"
        " units INTEGER, ordered_on TEXT);"
        "INSERT INTO customer VALUES (1, 'Ann', 'Graz'), (2, 'Bob', 'Graz');"
        "INSERT INTO orders VALUES (1, 1, NULL, 7, '2024-01-01'), (2, 1, 9.5, 3, 'soon');"
    )
    made.close()
    done = transpile(sql, "duckdb", SHOP)
    assert done.warnings != ()
    engine = duck(path, SHOP)
    try:
        other = bag(engine.execute(str(done.sql)).fetchall())
    except duckdb.Error:
        other = None
    engine.close()
    assert other != bag(rows(Gold(sql, path, SHOP)))
