"""Defects measured in published reward code, each shown not to be ours."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.text2sql.compare.metrics import METRICS
from tests.arena import GOLD, RIGHT, Arena
from tests.attack_sql import conjunction, endless, parentheses, rows
from tests.conftest import SHOP
from tests.sandbox_watch import workers

EXTRA = """
CREATE TABLE many (a INTEGER, b TEXT);
INSERT INTO many SELECT value, 'v' || (value % 7) FROM json_each(
    '[' || rtrim(replace(hex(zeroblob(4000)), '00', '1,2,'), ',') || ']');
CREATE TABLE pair (a INTEGER, name TEXT, x REAL);
INSERT INTO pair VALUES (1, 'alice', 0.123), (2, 'bob', 0.5);
CREATE TABLE bits (a, b, c, d, e, f, g, h);
INSERT INTO bits
    WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n LIMIT 60)
    SELECT x & 1, x >> 1 & 1, x >> 2 & 1, x >> 3 & 1, x >> 4 & 1, x >> 5 & 1, x % 3 & 1, x % 5 & 1
    FROM n;
"""


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("published"), SHOP + EXTRA, workers=2) as ready:
        yield ready


def _statuses(arena: Arena, gold: str, *predictions: str, **rest: object) -> list[str]:
    with arena.watch():
        report = arena.verify(gold, *predictions, **rest)
    return [verdict.status for verdict in report.verdicts]


def test_a_delete_earns_nothing_and_leaves_the_rows(arena: Arena) -> None:
    assert _statuses(arena, GOLD, "delete from customer") == ["forbidden"]
    assert _statuses(arena, "SELECT 4", "SELECT count(*) FROM customer") == ["match"]


def test_after_a_delete_a_query_without_rows_does_not_match(arena: Arena) -> None:
    sql = "select name from customer where 0"
    assert _statuses(arena, GOLD, "delete from customer", sql) == ["forbidden", "mismatch"]


def test_a_temporary_table_does_not_shadow_the_golds(arena: Arena) -> None:
    shadow = "CREATE TEMP TABLE customer AS SELECT * FROM main.customer WHERE 0"
    empty = "SELECT name FROM customer WHERE 0"
    assert _statuses(arena, GOLD, shadow, empty, RIGHT) == ["forbidden", "mismatch", "match"]


def test_forty_slow_predictions_do_not_make_the_next_gold_fail(arena: Arena) -> None:
    slow = [f"{endless(0)} LIMIT {n + 1}" for n in range(40)]
    with arena.watch():
        verdicts = arena.verify(GOLD, *slow, timeout_s=0.02).verdicts
        arena.check_honest()
        assert all(worker.num_threads() == 1 for worker in workers())
    assert {verdict.status for verdict in verdicts} == {"timeout"}


def test_six_million_rows_do_not_stay_in_the_services_memory(arena: Arena) -> None:
    with arena.watch(rss_growth_mb=16):
        verdict = arena.verify(rows(6_000_000), "SELECT 1", timeout_s=3.0).verdicts[0]
    assert verdict.status == "gold_error"
    with arena.watch(rss_growth_mb=16):
        assert arena.verify("SELECT 1", rows(6_000_000)).verdicts[0].status == "mismatch"


def test_no_sql_earns_nothing_where_select_1_would_be_right(arena: Arena) -> None:
    with arena.watch():
        verdicts = arena.verify(
            "SELECT 1", "I cannot answer this.", "", "```sql\n```", extract="auto"
        ).verdicts
    assert [(v.status, v.reward) for v in verdicts] == [("no_sql", 0.0)] * 3


def test_one_function_call_that_outruns_its_interruption_is_stopped(arena: Arena) -> None:
    sql = "select instr(printf('%.*c',6000000,'a'), printf('%.*c',3000000,'a')||'b')"
    start = time.monotonic()
    assert arena.attack(sql, timeout_s=0.5).status == "timeout"
    assert time.monotonic() - start < 15  # it takes 25 s and more when nobody ends it


def test_replace_does_not_grow_to_gigabytes(arena: Arena) -> None:
    sql = "select replace(printf('%.*c',200000000,'a'),'a','bbbb')"
    with arena.watch():
        verdict = arena.verify(GOLD, sql, timeout_s=1.0).verdicts[0]
        assert sum(worker.memory_info().rss for worker in workers()) < 400 * 2**20
    assert verdict.status in {"mismatch", "too_large", "timeout"}


def test_no_statement_makes_a_file(arena: Arena, tmp_path: Path) -> None:
    file = tmp_path / "evil.db"
    attacks = (
        f"ATTACH DATABASE '{file}' AS e",
        f"ATTACH DATABASE '{file}' AS e; CREATE TABLE e.t (a)",
        f"VACUUM INTO '{file}'",
        f"VACUUM INTO '{file}' --limit ",
    )
    assert _statuses(arena, GOLD, *attacks) == ["forbidden"] * 4
    assert list(tmp_path.iterdir()) == []


def test_eight_thousand_rows_in_another_order_earn_all(arena: Arena) -> None:
    gold, other = "SELECT a, b FROM many", "SELECT a, b FROM many ORDER BY a DESC, rowid DESC"
    with arena.watch():
        report = arena.verify(gold, other, metrics=("bird_ex", "strict"))
    assert report.gold.rows == 8000
    assert (report.verdicts[0].reward, set(report.verdicts[0].metrics.values())) == (1.0, {1.0})


def test_broken_sql_in_good_tags_earns_nothing(arena: Arena) -> None:
    text = "<think>easy</think><answer>```sql\nSELEC name FRM customer\n```</answer>"
    with arena.watch():
        verdict = arena.verify(GOLD, text, extract="auto").verdicts[0]
    assert (verdict.status, verdict.reward) == ("syntax_error", 0.0)


def test_distinct_and_reversed_order_are_told_apart_by_strict_alone(arena: Arena) -> None:
    gold = "SELECT city FROM customer ORDER BY id"
    others = ("SELECT DISTINCT city FROM customer ORDER BY id", f"{gold} DESC")
    assert _statuses(arena, gold, *others) == ["match", "match"]
    assert _statuses(arena, gold, *others, metrics=("strict",)) == ["mismatch", "mismatch"]


def test_bird_ex_ignores_duplicates_and_minds_the_order_of_columns(arena: Arena) -> None:
    gold = "SELECT city, name FROM customer"
    doubled = f"{gold} UNION ALL {gold}"
    assert _statuses(arena, gold, doubled) == ["match"]
    assert _statuses(arena, gold, "SELECT name, city FROM customer") == ["mismatch"]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_no_metric_takes_long_over_columns_that_look_alike(arena: Arena, metric: str) -> None:
    gold = "SELECT * FROM bits"
    turned = "SELECT h, g, f, e, d, c, b, a FROM bits"
    almost = "SELECT h, g, f, e, d, c, b, 1 - a FROM bits"
    start = time.monotonic()
    with arena.watch():
        verdicts = arena.verify(gold, gold, turned, almost, metrics=(metric,)).verdicts
    assert "match" in {verdict.status for verdict in verdicts}
    assert time.monotonic() - start < 8  # it takes 26 s where every order is tried


@pytest.mark.parametrize("metric", sorted({"bird_ex", "strict"} & set(METRICS)))
def test_scrambled_rows_extra_columns_and_near_numbers_do_not_match(
    arena: Arena, metric: str
) -> None:
    swapped = "SELECT CASE a WHEN 1 THEN 2 ELSE 1 END, name FROM pair"
    superset = "SELECT * FROM pair"
    gold = "SELECT a, name FROM pair"
    assert _statuses(arena, gold, swapped, superset, metrics=(metric,)) == ["mismatch"] * 2
    near = "SELECT 0.129"
    assert _statuses(arena, "SELECT 0.123", near, metrics=(metric,)) == ["mismatch"]


def test_nesting_and_length_that_break_python_parsers_are_values(arena: Arena) -> None:
    found = _statuses(arena, "SELECT 1", parentheses(50), conjunction(20_000))
    assert found == ["match", "too_large"]
