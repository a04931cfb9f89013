"""Lineage from the tree against what SQLite's own authorizer reports when it compiles."""

import sqlite3
from pathlib import Path

import pytest

from service.generation.lineage import Lineage, lineage
from service.generation.reading import read
from service.text2sql.schema import Column, Schema, Table
from tests.fixtures_gold import DATA, Gold, data_golds, demo_golds


def table(name: str, *columns: str) -> Table:
    first, *rest = columns
    keyed = [Column(first, "INTEGER", True, 1), *(Column(c, "TEXT", False, 0) for c in rest)]
    return Table(name, "table", tuple(keyed))


SHOP = Schema(
    "shop",
    (
        table("Customer", "Id", "Name", "City"),
        table("orders", "id", "customer_id", "amount"),
        Table("plain", "table", (Column("word", "TEXT", False, 0),)),
    ),
)


def reported(gold: Gold) -> Lineage:
    """What the authorizer is asked for, in lower case: it repeats a table as the SQL spells it."""
    reads: set[tuple[str, str]] = set()

    def authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and first:
            reads.add((first.lower(), (second or "").lower()))
        return sqlite3.SQLITE_OK

    connection = sqlite3.connect(f"file:{gold.database}?mode=ro&immutable=1", uri=True)
    connection.set_authorizer(authorize)
    connection.execute("EXPLAIN " + gold.sql).close()
    connection.close()
    tables = sorted({table for table, _ in reads})
    columns = sorted({f"{table}.{column}" for table, column in reads if column})
    return Lineage(tuple(tables), tuple(columns))


def differing(golds: list[Gold]) -> list[str]:
    wrong = []
    for gold in golds:
        told = lineage(gold.sql, gold.schema)
        if told is None or lowered(told) != reported(gold):
            wrong.append(gold.sql)
    return wrong


def lowered(told: Lineage) -> Lineage:
    tables = sorted(name.lower() for name in told.tables)
    columns = sorted(name.lower() for name in told.columns)
    return Lineage(tuple(tables), tuple(columns))


def test_the_demo_reads_what_the_authorizer_reports(tmp_path: Path) -> None:
    assert differing(demo_golds(tmp_path)) == []


@pytest.mark.skipif(not DATA.exists(), reason=f"gold SQL: no {DATA.name} folder")
def test_published_gold_reads_what_the_authorizer_reports() -> None:
    assert differing(data_golds()) == []


@pytest.mark.parametrize(
    ("sql", "tables", "columns"),
    [
        ("SELECT name FROM CUSTOMER AS c", "Customer", "Customer.Name"),
        ("SELECT COUNT(*) FROM customer", "Customer", ""),
        ("SELECT * FROM plain", "plain", "plain.word"),
        ("SELECT o.* FROM orders o", "orders", "orders.amount orders.customer_id orders.id"),
        (
            "SELECT name FROM customer JOIN orders USING (id)",
            "Customer orders",
            "Customer.Id Customer.Name orders.id",
        ),
        (
            "SELECT amount FROM customer NATURAL JOIN orders",
            "Customer orders",
            "Customer.Id orders.amount orders.id",
        ),
        (
            "WITH a AS (SELECT id AS x FROM orders) SELECT x FROM a ORDER BY x",
            "orders",
            "orders.id",
        ),
        (
            "SELECT name FROM customer c WHERE EXISTS (SELECT 1 FROM orders o WHERE "
            "o.customer_id = c.id)",
            "Customer orders",
            "Customer.Id Customer.Name orders.customer_id",
        ),
        (
            'SELECT name FROM customer WHERE city = "Graz"',
            "Customer",
            "Customer.City Customer.Name",
        ),
        (
            "SELECT amount + id AS total FROM orders WHERE total > 5",
            "orders",
            "orders.amount orders.id",
        ),
        ("SELECT rowid FROM customer", "Customer", "Customer.Id"),
        ("SELECT rowid FROM plain", "plain", "plain.ROWID"),
        (
            "SELECT id FROM customer UNION SELECT amount FROM main.orders ORDER BY 1",
            "Customer orders",
            "Customer.Id orders.amount",
        ),
        ("SELECT 1", "", ""),
    ],
)
def test_names_are_those_of_the_schema(sql: str, tables: str, columns: str) -> None:
    assert lineage(sql, SHOP) == Lineage(tuple(tables.split()), tuple(columns.split()))


def test_stars_over_very_many_columns_are_not_told() -> None:
    wide = Schema("wide", (table("t", *(f"c{n}" for n in range(500))),))
    assert lineage("SELECT * FROM t", wide) is not None
    assert lineage("SELECT * FROM " + ", ".join(f"t AS a{n}" for n in range(500)), wide) is None


def _joined(joins: str, count: int) -> str:
    return "orders AS t0 " + " ".join(joins.format(n) for n in range(1, count))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM orders WHERE " + " OR ".join(["id"] * 1450),
        "SELECT " + " + ".join(["id"] * 1450) + " FROM orders",
        " UNION ".join(["SELECT id FROM orders"] * 550),
        "SELECT " + "(SELECT " * 22 + "+".join(["id"] * 400) + ")" * 22 + " FROM orders",
        "SELECT " + ", ".join(["*"] * 1400) + " FROM orders",
        "SELECT 1 FROM " + _joined("NATURAL JOIN orders AS t{}", 250),
        "SELECT "
        + ", ".join(["id"] * 1000)
        + " FROM "
        + _joined("JOIN plain AS t{} USING (id)", 90),
        "SELECT " + "+".join(["id"] * 100) + " FROM orders GROUP BY " + ", ".join(["1"] * 1390),
    ],
    ids=lambda sql: sql[:40],
)
def test_what_would_take_seconds_to_resolve_is_not_told(sql: str) -> None:
    assert read(sql, SHOP) is not None
    assert lineage(sql, SHOP) is None


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT id FROM orders WHERE id IN (" + "1, " * 1400 + "1)", "orders.id"),
        ("SELECT id FROM orders WHERE " + " OR ".join(["id = 1"] * 150), "orders.id"),
        ("SELECT 1 FROM " + _joined("JOIN orders AS t{0} ON t{0}.id = t0.id", 60), "orders.id"),
        ("SELECT word FROM plain GROUP BY " + ", ".join(["1"] * 200), "plain.word"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_merely_long_is_told(sql: str, columns: str) -> None:
    told = lineage(sql, SHOP)
    assert told is not None
    assert told.columns == tuple(columns.split())


def test_names_that_build_on_names_take_no_exponential_time() -> None:
    doubled = ", ".join(f"b{n} + b{n} AS b{n + 1}" for n in range(60))
    told = lineage(f"SELECT id AS b0, {doubled} FROM orders WHERE b60 > 1", SHOP)
    assert told in (None, Lineage(("orders",), ("orders.id",)))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM customer",
        "SELECT `nothing` FROM customer",
        "SELECT name FROM nowhere",
        "SELECT id FROM customer JOIN orders ON customer_id = name",
        "SELECT value FROM json_each('[1]')",
        "SELECT x.name FROM customer",
        "DELETE FROM customer",
        "SELECT (",
    ],
)
def test_what_cannot_be_told_is_not_told(sql: str) -> None:
    assert lineage(sql, SHOP) is None
