"""The metrics that look for columns, against plain searches over all possibilities, and bounded."""

import math
import random
from collections import Counter
from itertools import permutations, product
from typing import Any

import pytest

from service.text2sql.compare.budget import ComparisonTooHard
from service.text2sql.compare.metrics import METRICS
from service.text2sql.compare.permutation import equal_up_to_columns
from service.text2sql.compare.rows import GoldRows, Row
from service.text2sql.types import Metric

PLAIN = "SELECT * FROM t"
ORDERED = "SELECT * FROM t ORDER BY a"
FEW: list[Any] = [0, 1]
MIXED: list[Any] = [0, 1, 1.0, -0.0, "1/", "a", None, b"a", "1"]
NUMBERS: list[Any] = [1, 1.004, 1.02, "1", " 1.01", None, 0.005, "x", "nan", 10**15, 10**15 + 1]


def _value(metric: Metric, sql: str, gold: list[Row], rows: list[Row]) -> float:
    judge = METRICS[metric].judge(GoldRows(sql, len(gold[0]), gold), len(rows[0]))
    return judge.value() if judge.feed(rows) else 0.0


def _moved(rng: random.Random, rows: list[Row]) -> list[Row]:
    """The same rows with columns and rows in another order, and now and then a cell changed."""
    order = rng.sample(range(len(rows[0])), len(rows[0]))
    moved = [[row[n] for n in order] for row in rng.sample(rows, len(rows))]
    if rng.random() < 0.4:
        one, other = rng.choice(moved), rng.choice(moved)
        n = rng.randrange(len(order))
        one[n], other[n] = other[n], one[n]
    return [tuple(row) for row in moved]


def _some_rows(rng: random.Random, cells: list[Any], columns: int) -> list[Row]:
    return [tuple(rng.choices(cells, k=columns)) for _ in range(rng.randint(1, 7))]


def _by_text(row: Row) -> Row:
    return tuple(sorted(row, key=lambda cell: str(cell) + str(type(cell))))


def _spider_over_all_orders(gold: list[Row], rows: list[Row], ordered: bool) -> bool:
    mine, theirs = list(map(_by_text, gold)), list(map(_by_text, rows))
    if mine != theirs if ordered else set(mine) != set(theirs):
        return False
    for order in permutations(range(len(gold[0]))):
        moved = [tuple(row[n] for n in order) for row in rows]
        if gold == moved if ordered else Counter(gold) == Counter(moved):
            return True
    return False


@pytest.mark.parametrize("cells", [FEW, MIXED], ids=["two values", "all types"])
@pytest.mark.parametrize("sql", [PLAIN, ORDERED])
def test_spider_finds_an_order_of_columns_exactly_where_one_exists(
    sql: str, cells: list[Any]
) -> None:
    rng = random.Random(sql)
    found = Counter[bool]()
    for _ in range(1500):
        gold = _some_rows(rng, cells, rng.randint(1, 5))
        rows = gold if sql == ORDERED and rng.random() < 0.2 else _moved(rng, gold)
        expected = _spider_over_all_orders(gold, rows, sql == ORDERED)
        assert _value("spider_exec", sql, gold, rows) == expected, (gold, rows)
        found[expected] += 1
    assert min(found[True], found[False]) > 50


def _number(cell: Any) -> Any:
    for kind in (int, float):
        try:
            cell = kind(cell) if isinstance(cell, str) else cell
        except ValueError:
            continue
    return 0 if cell is None or cell != cell else cell


def _cells_match(a: Any, b: Any) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, abs_tol=0.01)
    return bool(a == b)


def _spider2_by_definition(gold: list[Row], rows: list[Row]) -> bool:
    def columns(of: list[Row]) -> list[list[Any]]:
        return [
            sorted(map(_number, column), key=lambda c: (str(c), isinstance(c, int | float)))
            for column in zip(*of, strict=True)
        ]

    return len(gold) == len(rows) and all(
        any(all(map(_cells_match, mine, theirs)) for theirs in columns(rows))
        for mine in columns(gold)
    )


def test_spider2_finds_columns_exactly_where_the_definition_does() -> None:
    rng = random.Random(5)
    found = Counter[bool]()
    for _ in range(2000):
        width = rng.randint(1, 3)
        gold = _some_rows(rng, NUMBERS, width)
        rows = [(*row, rng.choice(NUMBERS)) for row in _moved(rng, gold)]
        rows = [tuple(rng.choice([c, c, c, rng.choice(NUMBERS)]) for c in row) for row in rows]
        expected = _spider2_by_definition(gold, rows)
        assert _value("spider2_lite", PLAIN, gold, rows) == expected, (gold, rows)
        found[expected] += 1
    assert min(found[True], found[False]) > 100


@pytest.mark.parametrize("columns", [8, 12, 20])
def test_sixty_rows_of_zeros_and_ones_are_found_in_any_order(columns: int) -> None:
    rng = random.Random(columns)
    gold = [tuple(rng.choices(FEW, k=columns)) for _ in range(60)]
    rows = [tuple(reversed(row)) for row in reversed(gold)]
    assert _value("spider_exec", PLAIN, gold, rows) == 1
    other = [(1 - rows[0][0], *rows[0][1:]), *rows[1:]]
    assert _value("spider_exec", PLAIN, gold, other) == 0


def test_all_rows_of_zeros_and_ones_are_found_although_all_columns_look_alike() -> None:
    gold = list(product(FEW, repeat=9))
    rows = [tuple(reversed(row)) for row in gold]
    assert _value("spider_exec", PLAIN, gold, rows) == 1


def test_two_thousand_columns_are_found_in_any_order() -> None:
    rng = random.Random(1)
    gold = [tuple(rng.choices(range(9), k=2000)) for _ in range(20)]
    rows = [tuple(reversed(row)) for row in reversed(gold)]
    assert _value("spider_exec", PLAIN, gold, rows) == 1
    assert _value("spider2_lite", PLAIN, gold, rows) == 1


def test_a_search_that_could_take_hours_ends_with_its_budget() -> None:
    # Every column and every row looks like every other.
    identity = [tuple(int(n == m) for n in range(300)) for m in range(300)]
    with pytest.raises(ComparisonTooHard):
        equal_up_to_columns(Counter(identity), Counter(reversed(identity)))
    # Every column is found, within the tolerance, at the end of the last column looked at.
    zeros = [(0,) * 300] * 300
    gold = [tuple(range(1000, 1300)), *zeros]
    rows = [tuple(n + 0.001 for n in reversed(range(1000, 1300))), *zeros]
    with pytest.raises(ComparisonTooHard):
        _value("spider2_lite", PLAIN, gold, rows)
