"""Schemas are read through the sandbox, whatever the file holds."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import DatabaseUnusable
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.sandbox.result import QueryResult
from service.text2sql.databases import Database
from service.text2sql.schema import ForeignKey, Schema, SchemaCache, Table, read_schema

MakeDatabase = Callable[[str, str], Path]


def read(path: Path) -> Schema:
    async def run() -> Schema:
        async with Executor(workers=1, limits=Limits()) as executor:
            return await read_schema(executor, Database("shop", path))

    return asyncio.run(run())


def only(schema: Schema) -> Table:
    (table,) = schema.tables
    return table


def test_tables_columns_keys_and_rows_are_read(shop: Path) -> None:
    customer, orders = read(shop).tables
    assert [(c.name, c.type, c.not_null, c.primary_key) for c in customer.columns] == [
        ("id", "INTEGER", False, 1),
        ("name", "TEXT", True, 0),
        ("city", "TEXT", False, 0),
        ("joined", "DATE", False, 0),
    ]
    assert (customer.rows, orders.rows) == (4, 4)
    assert orders.foreign_keys == (ForeignKey(("customer_id",), "customer", ("id",)),)


def test_examples_are_the_first_distinct_values(shop: Path) -> None:
    customer, orders = read(shop).tables
    assert customer.columns[2].examples == ("Paris", "Rome")
    assert orders.columns[2].examples == (10.0, 25.5, 7.25)


def test_long_texts_are_cut_and_blobs_and_very_long_texts_left_out(
    make_database: MakeDatabase,
) -> None:
    path = make_database(
        "long",
        "CREATE TABLE t (x);"
        "INSERT INTO t VALUES (NULL), (zeroblob(50)), (''), ('  '), (hex(zeroblob(500))),"
        " (hex(zeroblob(30))), ('two' || char(10) || 'lines')",
    )
    assert only(read(path)).columns[0].examples == ("0" * 39 + "…", "two lines")


def test_odd_identifiers_are_read(make_database: MakeDatabase) -> None:
    path = make_database(
        "odd",
        'CREATE TABLE "order" ("a b" TEXT, "sa""y" TEXT, [select] INT, "Größe" REAL, "it\'s" TEXT);'
        "INSERT INTO \"order\" VALUES ('x', 'y', 1, 2.5, 'z');",
    )
    table = only(read(path))
    assert [c.name for c in table.columns] == ["a b", 'sa"y', "select", "Größe", "it's"]
    assert [c.examples for c in table.columns] == [("x",), ("y",), (1,), (2.5,), ("z",)]
    assert (table.name, table.rows) == ("order", 1)


def test_composite_keys_keep_their_order(make_database: MakeDatabase) -> None:
    path = make_database(
        "composite",
        "CREATE TABLE p (a, b, c, PRIMARY KEY (c, a)) WITHOUT ROWID;"
        "CREATE TABLE q (x, y, FOREIGN KEY (x, y) REFERENCES p (c, a));",
    )
    parent, child = read(path).tables
    assert parent.primary_key == ("c", "a")
    assert child.foreign_keys == (ForeignKey(("x", "y"), "p", ("c", "a")),)


def test_a_foreign_key_without_columns_means_the_parents_primary_key(
    make_database: MakeDatabase,
) -> None:
    path = make_database(
        "implicit",
        "CREATE TABLE Parent (k INTEGER PRIMARY KEY);"
        "CREATE TABLE child (a REFERENCES PARENT, b REFERENCES nowhere);",
    )
    assert read(path).tables[1].foreign_keys == (
        ForeignKey(("a",), "Parent", ("k",)),
        ForeignKey(("b",), "nowhere", ()),
    )


def test_views_are_shown_but_never_run(make_database: MakeDatabase) -> None:
    path = make_database(
        "views",
        "CREATE TABLE t (a INT); INSERT INTO t VALUES (1);"
        "CREATE VIEW v AS SELECT a, a + 1 AS b FROM t;"
        "CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"
        " SELECT i FROM n;"
        "CREATE TABLE gone (x); CREATE VIEW broken AS SELECT x FROM gone; DROP TABLE gone;",
    )
    table, view, endless = read(path).tables
    assert (view.kind, [c.name for c in view.columns], view.rows) == ("view", ["a", "b"], None)
    assert (table.kind, endless.name) == ("table", "endless")


def test_virtual_tables_and_their_shadows_are_left_out(make_database: MakeDatabase) -> None:
    path = make_database(
        "virtual",
        "CREATE VIRTUAL TABLE notes USING fts5(body); CREATE TABLE notes_of_mine (a INT);",
    )
    assert only(read(path)).name == "notes_of_mine"


def test_generated_columns_are_read_and_hidden_ones_are_not(make_database: MakeDatabase) -> None:
    path = make_database("generated", "CREATE TABLE t (a INT, b INT AS (a + 1) VIRTUAL);")
    assert [c.name for c in only(read(path)).columns] == ["a", "b"]


def test_a_database_without_tables_has_an_empty_schema(make_database: MakeDatabase) -> None:
    path = make_database("empty", "CREATE TABLE t (a); DROP TABLE t;")
    assert read(path).tables == ()


def test_a_corrupt_file_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "corrupt.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(DatabaseUnusable, match="cannot be read"):
        read(path)


class Counting:
    """An executor that counts its queries."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.queries = 0

    async def query(
        self, database: Path, sql: str, *, timeout_s: float, max_rows: int, max_bytes: int = 2**20
    ) -> QueryResult:
        self.queries += 1
        return await self.executor.query(
            database, sql, timeout_s=timeout_s, max_rows=max_rows, max_bytes=max_bytes
        )


def test_the_cache_reads_a_file_once_and_forgets_the_oldest(shop: Path) -> None:
    async def run() -> None:
        async with Executor(workers=1, limits=Limits()) as executor:
            cache, counting = SchemaCache(size=2), Counting(executor)
            database = Database("shop", shop)
            first = await cache.get(counting, database, "hash a")
            asked = counting.queries
            assert await cache.get(counting, database, "hash a") is first
            assert counting.queries == asked
            for sha256 in ("hash b", "hash c", "hash a"):
                await cache.get(counting, database, sha256)
            assert counting.queries == 4 * asked

    asyncio.run(run())
