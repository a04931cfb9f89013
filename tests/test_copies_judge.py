"""A coincidental match is found on copies; a query that means the same is never rejected."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.sandbox.copies.answers import Answer, same, segments
from service.sandbox.copies.golds import Golds
from service.sandbox.limits import Limits
from tests.copies import SHOP, copies, database, judged, rows

CASES = json.loads((Path(__file__).parent / "cases" / "coincidences.json").read_text())


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The original, then its copies."""
    folder = tmp_path_factory.mktemp("shop")
    source = database(folder / "shop.sqlite", SHOP)
    return [source, *copies(folder / "c", source)]


@pytest.mark.parametrize(
    ("metric", "gold", "wrong"),
    [pytest.param(*case[1:], id=f"{case[0]}, {case[1]}") for case in CASES["wrong"]],
)
def test_a_wrong_query_that_matches_by_coincidence_is_found(
    shop: list[Path], metric: str, gold: str, wrong: str
) -> None:
    source, *paths = shop
    expected, found = rows(source, gold), rows(source, wrong)
    assert set(found) == set(expected)
    assert metric == "bird_ex" or len(found) == len(expected)
    answer, right = judged(paths, gold, wrong, gold, metric=metric)
    assert answer["counterexample"], answer
    assert answer["held"] < answer["usable"] <= answer["instances"] == 8
    assert right["counterexample"] is None
    assert right["usable"] == right["held"] >= 1


@pytest.mark.parametrize("metric", ["bird_ex", "strict", "spider_exec"])
@pytest.mark.parametrize(
    ("gold", "equal"), [pytest.param(*case[1:], id=case[0]) for case in CASES["equal"]]
)
def test_a_query_that_means_the_same_holds(
    shop: list[Path], gold: str, equal: str, metric: str
) -> None:
    for seed in (0, 1):
        answer = judged(shop[1:], gold, equal, metric=metric, seed=seed)[0]
        assert answer["counterexample"] is None
        assert answer["complete"]


def _counterexample(shop: list[Path], gold: str, wrong: str, **task: Any) -> dict[str, Any]:
    found: dict[str, Any] = judged(shop[1:], gold, wrong, **task)[0]["counterexample"]
    assert found
    return found


def test_a_counterexample_shows_a_few_rows_that_can_be_sent(shop: list[Path]) -> None:
    found = _counterexample(shop, "SELECT * FROM customer", "SELECT * FROM customer WHERE age < 60")
    assert found["kind"]
    assert 0 <= found["instance"] < 8
    assert 0 < len(found["gold_rows"]) <= 3
    assert len(json.dumps(found)) < 5000


def test_long_texts_blobs_and_infinity_are_cut_and_plain(shop: list[Path]) -> None:
    gold = "SELECT printf('%.*c', 9000, 'x'), x'00ff', 1e999, name FROM customer"
    found = _counterexample(shop, gold, f"{gold} WHERE age < 60")
    text, blob, infinite, _ = found["gold_rows"][0]
    assert (len(text), blob, infinite) == (200, {"blob": "00ff"}, "inf")
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "gold",
    [
        "SELECT name FROM customer ORDER BY random()",
        "SELECT name FROM customer WHERE joined < date('now')",
        "SELECT name, current_timestamp FROM customer",
        "SELECT name FROM customer WHERE joined > date()",
        "SELECT nowhere FROM customer",
        "DELETE FROM customer",
    ],
)
def test_a_gold_without_a_fixed_answer_disproves_nothing(shop: list[Path], gold: str) -> None:
    answer = judged(shop[1:], gold, "SELECT 1")[0]
    assert (answer["usable"], answer["held"], answer["counterexample"]) == (0, 0, None)


def test_a_gold_whose_answer_hangs_on_storage_order_disproves_nothing_there() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, g INT, v TEXT);"
            "INSERT INTO t VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');"
        )
        golds = Golds(db.serialize(), Limits())
    bare = ["SELECT g, v FROM t GROUP BY g", "SELECT v FROM t LIMIT 1"]
    bare += ["SELECT group_concat(v) FROM t", "SELECT v FROM t WHERE id = (SELECT id FROM t)"]
    assert [golds.answer(sql, "bird_ex", 1.0) for sql in bare] == [None] * 4
    fixed = ["SELECT g, max(v) FROM t GROUP BY g", "SELECT v FROM t ORDER BY id LIMIT 1"]
    fixed += ["SELECT v, max(id) FROM t GROUP BY g", "SELECT v FROM t GROUP BY id"]
    assert all(golds.answer(sql, "bird_ex", 1.0) for sql in fixed)
    golds.close()


def test_an_error_of_the_prediction_alone_disproves_it(shop: list[Path]) -> None:
    gold = "SELECT name FROM customer"
    fails = "SELECT name FROM customer WHERE CASE WHEN age > 60 THEN abs(-9223372036854775808) END"
    wrong = f"{fails} IS NULL"
    found = _counterexample(shop, gold, wrong)
    assert "overflow" in found["message"]


def test_a_timeout_of_the_prediction_disproves_nothing(shop: list[Path]) -> None:
    endless = (
        "SELECT name FROM customer WHERE (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
        "SELECT x + 1 FROM c) SELECT max(x) FROM c) > 0"
    )
    answer = judged(shop[1:], "SELECT name FROM customer", endless, timeout_s=0.05)[0]
    assert answer["counterexample"] is None
    assert answer["usable"] <= 1


def test_when_the_budget_is_over_the_rest_is_left_out(shop: list[Path]) -> None:
    gold = "SELECT name FROM customer"
    answer = judged(shop[1:], gold, gold, budget_s=0.0)[0]
    assert (answer["complete"], answer["usable"]) == (False, 0)


def test_a_prediction_that_tries_to_write_changes_nothing(shop: list[Path]) -> None:
    before = [path.read_bytes() for path in shop]
    gold = "SELECT count(*) FROM customer"
    hostile = ["DELETE FROM customer", "DROP TABLE customer", "PRAGMA query_only=OFF"]
    hostile += ["CREATE TEMP TABLE customer AS SELECT 1", "ATTACH 'x' AS y", "VACUUM INTO 'z'"]
    answers = judged(shop[1:], gold, *hostile, gold)
    assert answers[-1]["counterexample"] is None
    assert answers[-1]["held"] >= 7
    assert [path.read_bytes() for path in shop] == before


def test_a_text_of_two_values_stays_so_where_the_queries_rely_on_it(tmp_path: Path) -> None:
    listed = ", ".join(f"({n}, '{'MF'[n % 2]}')" for n in range(30))
    script = f"CREATE TABLE p(id INTEGER PRIMARY KEY, sex TEXT); INSERT INTO p VALUES {listed};"
    paths = copies(tmp_path / "c", database(tmp_path / "p.sqlite", script))
    gold = "SELECT id FROM p WHERE sex = 'F'"
    other = "SELECT id FROM p WHERE sex <> 'M'"
    looser = "SELECT id FROM p WHERE sex LIKE '%F%'"
    answers = judged(paths, gold, other, looser)
    assert [bool(answer["counterexample"]) for answer in answers] == [False, True]


def test_copies_that_are_gone_disprove_nothing(tmp_path: Path) -> None:
    paths = copies(tmp_path / "c", database(tmp_path / "shop.sqlite", SHOP), 2)
    paths[1].unlink()
    answer = judged(paths, "SELECT name FROM customer", "SELECT name FROM customer LIMIT 99")[0]
    assert (answer["complete"], answer["usable"], answer["held"]) == (False, 1, 1)


def test_one_of_several_golds_that_matched_is_enough(shop: list[Path]) -> None:
    golds = ["SELECT max(age) FROM customer", "SELECT name FROM customer WHERE age > 30"]
    right = "SELECT name FROM customer WHERE age >= 31"
    held, lost = (
        judged(shop[1:], golds, right, held=held)[0]["counterexample"] for held in ([[0, 1]], [[0]])
    )
    assert held is None
    assert lost


def test_the_answer_does_not_depend_on_the_rest_of_the_group(shop: list[Path]) -> None:
    gold = "SELECT name FROM customer WHERE age > 30"
    group = [gold, "SELECT name FROM customer WHERE age >= 30", "SELECT 'Ann'", f"{gold} AND vip"]
    together = judged(shop[1:], gold, *group)
    assert together == [judged(shop[1:], gold, sql)[0] for sql in group]


def test_rows_that_tie_in_the_gold_s_order_may_change_places(shop: list[Path]) -> None:
    gold = "SELECT name FROM customer ORDER BY city"
    for equal in (f"{gold}, id", f"{gold}, id DESC", f"{gold}, name"):
        assert judged(shop[1:], gold, equal, metric="strict")[0]["counterexample"] is None
    assert judged(shop[1:], gold, f"{gold} DESC", metric="strict")[0]["counterexample"]


# -- comparison ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "gold", "found", "held"),
    [
        ("bird_ex", [(1,), (1,)], [(1.0,)], True),
        ("bird_ex", [(0.1 + 0.2,)], [(0.3,)], True),
        ("bird_ex", [(0.3,)], [(0.3001,)], False),
        ("bird_ex", [(1,)], [("1",)], False),
        ("bird_ex", [], [(None,)], False),
        ("bird_ex", [(None,)], [(0.0,)], False),
        ("strict", [(1,)], [(1.0,)], False),
        ("strict", [(1e17, "a")], [(1e17 + 16, "a")], True),
        ("strict", [(1,), (1,)], [(1,)], False),
        ("spider_exec", [(1, "a")], [("a", 1)], True),
        ("spider_exec", [(1,), (1,)], [(1,)], True),
        ("spider_exec_keep_distinct", [(1,), (1,)], [(1,)], False),
        ("spider_exec", [(1, "a"), (2, "b")], [("a", 2), ("b", 1)], False),
        ("bird_soft_f1", [(1, "a")], [("a", 1)], True),
        ("bird_soft_f1", [(1, "a")], [("a", 2)], False),
        ("spider2_lite", [(1,)], [(9, 1.001)], True),
        ("spider2_lite", [(1,)], [(9, 1.1)], False),
        ("spider2_lite", [("x",), (None,)], [("x",), (0,)], True),
    ],
)
def test_rows_are_compared_as_the_metric_does_floats_within_reason(
    metric: str, gold: list[Any], found: list[Any], held: bool
) -> None:
    columns = len(gold[0]) if gold else 1
    assert same(metric, Answer(gold, columns), found, len(found[0])) is held


def test_runs_of_ties_are_found_from_two_opposite_orders() -> None:
    ascending = [(1,), (2,), (3,), (4,), (5,), (5,)]
    descending = [(1,), (3,), (2,), (4,), (5,), (5,)]
    assert segments(ascending, descending) == [1, 2, 1, 1, 1]
