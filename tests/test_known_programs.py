"""A group on a slow gold skips runs that its compiled programs decide; nobody can tell."""

from collections.abc import Iterator
from typing import Any

import pytest

from service.text2sql.types import Metric, Verdict
from tests.arena import Arena

STEPS = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {steps}) \
SELECT max(x) FROM c)"
SLOW = f"{STEPS.format(steps=200_000)} > 0"
ENDLESS = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c)"
GOLD = "SELECT name, city FROM customer WHERE id < 3 AND"
PREDICTIONS = (
    "SELECT name, city FROM customer WHERE id < 3",
    "select c.name as n, c.city from customer c where c.id < 3",
    "SELECT city, name FROM customer WHERE id < 3",
    "SELECT name, city FROM customer WHERE id < 4",
    "SELECT name, city FROM customer c WHERE c.id < 4",
    "SELECT name FROM customer WHERE id < 3",
    "SELECT name n FROM customer WHERE id < 3",
    "SELECT *, 1 FROM customer",
    "SELECT 'Ada', 'Paris' UNION SELECT 'Bob', 'Rome'",
    "SELECT name, city FROM customer WHERE id < 3 UNION ALL SELECT 'Ada', 'Paris'",
    "SELECT name, city FROM customer WHERE random() IS NOT NULL AND id < 3",
    "SELECT name, city FROM customer LIMIT 2",
    "SELECT nme, city FROM customer",
    "SELECT name, city FROM",
    "SELECT abs(-9223372036854775807 - 1), 1",
    "DELETE FROM customer",
    "SELECT 1, 2; SELECT 3",
    "EXPLAIN SELECT name, city FROM customer WHERE id < 3",
    "QUERY PLAN SELECT name, city FROM customer WHERE id < 3",
    "PRAGMA table_info(customer)",
    "",
    "-- nothing",
)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The shop, and a worker that keeps no verdicts."""
    with Arena(tmp_path_factory.mktemp("programs")) as ready:
        yield ready


def _told(verdict: Verdict) -> tuple[Any, ...]:
    return (verdict.status, verdict.reward, verdict.metrics, verdict.masked, verdict.message)


@pytest.mark.parametrize(
    "metrics", [("bird_ex",), ("strict", "bird_ex"), ("spider_exec",), ("spider2_lite",)]
)
def test_a_slow_gold_gives_the_verdicts_of_a_fast_one(
    arena: Arena, metrics: tuple[Metric, ...]
) -> None:
    # The comment keeps a gold that was run before from being found again.
    asked = (
        arena.verify(f"{GOLD} 1 /* {metrics} {turn} */", *PREDICTIONS, metrics=metrics)
        for turn in range(50)  # A machine with other work can make any of them slow.
    )
    fast = next(report for report in asked if report.gold.elapsed_ms < 2)
    slow = arena.verify(f"{GOLD} {SLOW} /* {metrics} */", *PREDICTIONS, metrics=metrics)
    assert slow.gold.elapsed_ms > 2
    for sql, one, other in zip(PREDICTIONS, fast.verdicts, slow.verdicts, strict=True):
        assert _told(one) == _told(other), sql
        if one.status == "match":
            assert sorted(one.flags) == sorted(other.flags), sql
        if one.diff and other.diff:
            assert one.diff == other.diff, sql


def test_the_golds_program_is_not_run_again(arena: Arena) -> None:
    gold = f"SELECT name FROM customer WHERE {STEPS.format(steps=800_000)} > 0"
    variants = [f"{gold.replace('name', f'name AS n{n}')} /* {n} */" for n in range(20)]
    report = arena.verify(gold, *variants)
    assert {v.status for v in report.verdicts} == {"match"}
    assert sum(v.elapsed_ms for v in report.verdicts) < 5 * report.gold.elapsed_ms


def test_another_width_is_not_run_at_all(arena: Arena) -> None:
    gold = f"SELECT name FROM customer WHERE {SLOW}"
    endless = [f"SELECT {ENDLESS}, {n}" for n in range(5)]
    report = arena.verify(gold, *endless, timeout_s=5.0)
    assert {v.status for v in report.verdicts} == {"mismatch"}
    assert sum(v.elapsed_ms for v in report.verdicts) < 5000
