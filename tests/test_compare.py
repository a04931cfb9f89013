"""Each metric on rows written by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.text2sql.compare.metrics import METRICS
from service.text2sql.compare.rows import GoldRows
from service.text2sql.sqltext import orders_rows
from service.text2sql.types import Metric

CASES = json.loads((Path(__file__).parent / "cases" / "compare.json").read_text())


def _value(metric: Metric, gold: GoldRows, rows: list[tuple[Any, ...]], columns: int) -> float:
    judge = METRICS[metric].judge(gold, columns)
    fed = all(judge.feed(rows[at : at + 2]) for at in range(0, len(rows), 2))
    return judge.value() if fed else 0.0


@pytest.mark.parametrize("case", CASES["compare"], ids=lambda case: case["why"])
def test_metric_gives_the_value_of_the_table(case: dict[str, Any]) -> None:
    gold_rows = [tuple(row) for row in case["gold"]]
    rows = [tuple(row) for row in case["rows"]]
    gold = GoldRows(case.get("gold_sql", "SELECT a FROM t"), case.get("gold_columns", 1), gold_rows)
    for metric, expected in case["expected"].items():
        assert _value(metric, gold, rows, case.get("columns", 1)) == pytest.approx(
            expected, abs=1e-12
        ), metric


@pytest.mark.parametrize("case", CASES["orders_rows"], ids=lambda case: case["sql"][:40])
def test_outermost_order_by_is_found(case: dict[str, Any]) -> None:
    assert orders_rows(case["sql"]) is case["ordered"]


def test_reading_a_megabyte_of_quotes_is_linear() -> None:
    assert orders_rows("'" * 1_000_001 + " ORDER BY 1") is False
    assert orders_rows("(" * 500_000 + "/*" * 200_000) is False
