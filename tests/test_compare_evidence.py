"""What a match passed over, and how a mismatch differs, by a table."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.text2sql.compare.difference import difference
from service.text2sql.compare.evidence import Evidence
from service.text2sql.compare.metrics import METRICS
from service.text2sql.compare.rows import GoldRows, Row

CASES = json.loads((Path(__file__).parent / "cases" / "evidence.json").read_text())
INF = float("inf")


def _made(case: dict[str, Any]) -> tuple[GoldRows, Evidence]:
    gold, rows = list(map(tuple, case["gold"])), list(map(tuple, case["rows"]))
    evidence = Evidence(len(rows[0]) if rows else 1, keep=len(gold))
    for at in range(0, len(rows), 2):
        evidence.add(rows[at : at + 2])
    evidence.whole = not case.get("unfinished")
    width = len(gold[0]) if gold else 1
    return GoldRows(case.get("sql", "SELECT a FROM t"), width, gold), evidence


@pytest.mark.parametrize("case", CASES["flags"], ids=lambda case: case["why"])
def test_a_match_is_flagged_as_the_table_says(case: dict[str, Any]) -> None:
    gold, evidence = _made(case)
    assert evidence.flags(gold, by_columns=case.get("by_columns", False)) == case["flags"]


@pytest.mark.parametrize("case", CASES["differences"], ids=lambda case: case["why"])
def test_a_mismatch_is_described_as_the_table_says(case: dict[str, Any]) -> None:
    gold, evidence = _made(case)
    found = difference(gold, evidence, METRICS[case["metric"]], diff_rows=2)
    assert found == case["diff"]
    assert repr(found) == repr(case["diff"])  # 1 is not 1.0


def test_examples_are_short_and_json_ready() -> None:
    row: Row = (b"\0" * 9, INF, -INF, "x" * 81, "y" * 80, None, 2**62, 0.5, "ninth")
    gold = GoldRows("SELECT a FROM t", 9, [row])
    evidence = Evidence(9, keep=1)
    evidence.whole = True
    found = difference(gold, evidence, METRICS["bird_ex"], diff_rows=3)
    shown = ["<blob 9 bytes>", "inf", "-inf", "x" * 79 + "…", "y" * 80, None, 2**62, 0.5]
    assert found["missing_rows"] == [shown]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_no_examples_are_given_where_none_are_wanted() -> None:
    gold, evidence = _made({"gold": [[1], [2]], "rows": [[3]]})
    found = difference(gold, evidence, METRICS["bird_ex"], diff_rows=0)
    assert (found["missing_rows"], found["extra_rows"]) == ([], [])
    assert (found["missing"], found["extra"]) == (2, 1)


def test_an_endless_prediction_leaves_a_bounded_number_of_rows() -> None:
    evidence = Evidence(1, keep=10)
    for start in range(0, 10_000, 5):
        evidence.add([(n,) for n in range(start, start + 5)])
    assert evidence.count == 10_000
    assert len(evidence.rows()) <= 2 * 10 + 64 + 5
    assert not evidence.every_distinct
