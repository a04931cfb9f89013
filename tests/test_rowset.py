"""A digest of rows that is equal exactly where Python's sets of them are."""

import asyncio
import random
from typing import Any

import pytest

from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.sandbox.result import QueryResult
from service.sandbox.rowset import RowSet
from service.text2sql.databases import DatabaseRegistry

VALUES: list[Any] = [None, 0, 1, 1.0, -1, 2**53 + 1, float(2**53), 0.5, "1", "", "a", b"a", b"1"]


def digest(rows: list[tuple[Any, ...]]) -> str:
    taken = RowSet(100)
    for row in rows:
        assert taken.take(row)
    return taken.digest


def test_digests_are_equal_where_sets_of_rows_are() -> None:
    chance = random.Random(7)
    results = [
        [
            tuple(chance.choices(VALUES[:6], k=chance.choice((1, 2))))
            for _ in range(chance.choice((0, 1, 3)))
        ]
        for _ in range(120)
    ] + [[(value,)] for value in VALUES]
    for one in results:
        for other in results:
            assert (digest(one) == digest(other)) == (set(one) == set(other)), (one, other)


def test_too_many_distinct_rows_are_refused_and_repeats_are_not() -> None:
    taken = RowSet(2)
    assert all(taken.take((n % 2,)) for n in range(50))
    assert not taken.take((7,))


def _query(registry: DatabaseRegistry, sql: str, limits: Limits, max_rows: int = 2) -> QueryResult:
    async def run() -> QueryResult:
        async with Executor(workers=1, limits=limits) as executor:
            path = registry.get("shop").path
            return await executor.query(path, sql, timeout_s=5, max_rows=max_rows, digest=True)

    return asyncio.run(run())


def test_the_digest_is_of_all_rows_though_few_come(registry: DatabaseRegistry) -> None:
    up = _query(registry, "SELECT id FROM customer ORDER BY id", Limits())
    down = _query(registry, "SELECT id FROM customer ORDER BY id DESC", Limits())
    assert (up.rows, down.rows, up.truncated) == ([[1], [2]], [[4], [3]], True)
    assert up.digest == down.digest == digest([(1,), (2,), (3,), (4,)])
    assert (up.tables, up.reads) == (["customer"], ["customer.id"])


@pytest.mark.parametrize(("most", "known"), [(3, False), (4, True)])
def test_a_result_over_the_bound_has_no_digest(
    registry: DatabaseRegistry, most: int, known: bool
) -> None:
    found = _query(registry, "SELECT id FROM customer", Limits(max_gold_rows=most))
    assert (found.status, found.truncated) == ("ok", True)
    assert (found.digest is not None) == known
