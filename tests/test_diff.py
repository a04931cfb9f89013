"""The diff of a verdict: what is different, in few words, ready to be sent."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.arena import Arena

NAMES = "SELECT name FROM customer ORDER BY id"
NUMBERS = "WITH RECURSIVE c(x) AS (SELECT {first} UNION ALL SELECT x + 1 FROM c LIMIT {count}) \
SELECT x FROM c"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The shop, and a worker that keeps no verdicts."""
    with Arena(tmp_path_factory.mktemp("diff")) as ready:
        yield ready


def _diff(arena: Arena, gold: str, prediction: str, **task: Any) -> Any:
    """The diff of a mismatch, after a way through JSON that must not change it."""
    verdict = arena.verify(gold, prediction, **task).verdicts[0]
    assert verdict.status == "mismatch"
    assert orjson.loads(orjson.dumps(verdict.diff)) == verdict.diff
    return verdict.diff


def _shown(diff: Any) -> tuple[Any, ...]:
    rows = (diff["missing_rows"], diff["extra_rows"])
    return (diff["kind"], *rows, diff["missing"], diff["extra"], diff["complete"])


@pytest.mark.parametrize("metric", ["bird_ex", "strict"])
def test_rows_that_are_missing_are_shown_and_counted(arena: Arena, metric: str) -> None:
    diff = _diff(arena, NAMES, "SELECT name FROM customer WHERE id < 3", metrics=(metric,))
    assert _shown(diff) == ("rows", [["Cleo"], ["Dan"]], [], 2, 0, True)
    assert (diff["gold_columns"], diff["predicted_columns"]) == (1, 1)


def test_rows_that_are_too_many_end_the_comparison_and_are_shown(arena: Arena) -> None:
    diff = _diff(arena, "SELECT name FROM customer WHERE id < 3", NAMES)
    assert (diff["kind"], diff["extra_rows"]) == ("rows", [["Cleo"], ["Dan"]])
    assert diff["missing_rows"] == []


def test_rows_on_both_sides_are_shown(arena: Arena) -> None:
    gold = "SELECT name FROM customer WHERE id IN (1, 2)"
    other = "SELECT name FROM customer WHERE id IN (2, 3)"
    diff = _diff(arena, gold, other)
    assert diff["kind"] == "rows"
    assert diff["extra_rows"] == [["Cleo"]]
    assert diff["missing_rows"] == ([["Ada"]] if diff["complete"] else [])


def test_other_columns_are_counted_and_no_row_is_shown(arena: Arena) -> None:
    diff = _diff(arena, NAMES, "SELECT id, name, city FROM customer")
    assert (diff["gold_columns"], diff["predicted_columns"]) == (1, 3)
    assert _shown(diff) == ("columns", [], [], None, None, False)


@pytest.mark.parametrize(
    ("gold", "prediction", "kind"),
    [
        (NAMES, "SELECT name FROM customer ORDER BY id DESC", "order"),
        (NAMES, "SELECT name FROM customer ORDER BY length(name), name", "order"),
        ("SELECT city FROM customer", "SELECT DISTINCT city FROM customer", "rows"),
        ("SELECT id FROM customer", "SELECT 1.0 * id FROM customer", "rows"),
    ],
    ids=["backwards", "another", "once each", "other types"],
)
def test_strict_tells_order_from_rows(arena: Arena, gold: str, prediction: str, kind: str) -> None:
    diff = _diff(arena, gold, prediction, metrics=("strict",))
    assert diff["kind"] == kind


def test_a_row_that_is_there_too_seldom_is_missing_as_often(arena: Arena) -> None:
    gold, once = "SELECT city FROM customer", "SELECT DISTINCT city FROM customer"
    diff = _diff(arena, gold, once, metrics=("strict",))
    assert _shown(diff) == ("rows", [["Rome"]], [], 1, 0, True)


def test_an_empty_result_lacks_every_row(arena: Arena) -> None:
    diff = _diff(arena, NAMES, "SELECT name FROM customer WHERE 0", diff_rows=10)
    assert _shown(diff) == ("rows", [["Ada"], ["Bob"], ["Cleo"], ["Dan"]], [], 4, 0, True)


def test_no_rows_asked_for_leave_the_diff_out_and_a_match_has_none(arena: Arena) -> None:
    wrong, right = "SELECT 'Eve'", "SELECT name FROM customer"
    assert arena.verify(NAMES, wrong, diff_rows=0).verdicts[0].diff is None
    assert arena.verify(NAMES, right).verdicts[0].diff is None


@pytest.mark.parametrize("metric", ["bird_ex", "strict", "spider_exec", "bird_soft_f1"])
def test_the_diff_of_large_results_is_small(arena: Arena, metric: str) -> None:
    gold = NUMBERS.format(first=1, count=20_000)
    for other in ({"first": 1, "count": 19_000}, {"first": 5, "count": 30_000}):
        diff = _diff(arena, gold, NUMBERS.format(**other), metrics=(metric,), diff_rows=2)
        assert len(diff["missing_rows"]) <= 2
        assert len(diff["extra_rows"]) <= 2
        assert len(json.dumps(diff)) < 500


def test_wide_rows_and_long_cells_are_cut(arena: Arena) -> None:
    columns = ", ".join(f"printf('%.*c', 5000, '{n % 10}')" for n in range(40))
    diff = _diff(arena, f"SELECT {columns}", f"SELECT {columns} || 'x'", diff_rows=100)
    assert diff["extra_rows"] == [[f"{str(n) * 79}…" for n in range(8)]]
    assert len(json.dumps(diff)) < 3000


def test_what_json_cannot_say_is_said_in_words(arena: Arena) -> None:
    prediction = "SELECT x'00ff', 9e999, -9e999, NULL, 1.5, 9223372036854775807"
    diff = _diff(arena, "SELECT 1, 2, 3, 4, 5, 6", prediction)
    shown = [["<blob 2 bytes>", "inf", "-inf", None, 1.5, 9223372036854775807]]
    assert diff["extra_rows"] == shown
