"""What Spider's test suite makes of a query's text, by a table."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.text2sql.compare.metrics import METRICS

CASES = json.loads((Path(__file__).parent / "cases" / "spider_text.json").read_text())
MEGABYTE = 1_000_000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_text_is_prepared_as_the_table_says(case: dict[str, Any]) -> None:
    assert METRICS["spider_exec"].prepare(case["sql"]) == case["run"]
    kept = METRICS["spider_exec_keep_distinct"].prepare(case["sql"])
    assert kept == case.get("keep", case["run"])


@pytest.mark.parametrize("sql", ["", "SELECT DISTINCT '> =';;", "\0"])
def test_the_other_metrics_run_the_text_as_it_is(sql: str) -> None:
    others = METRICS.keys() - {"spider_exec", "spider_exec_keep_distinct"}
    assert {METRICS[name].prepare(sql) for name in others} == {sql}


@pytest.mark.parametrize("part", ["'", "\\'", "''", "/*", "[", '"\\"', "`", "year(", "-", "%("])
def test_a_megabyte_of_any_opening_is_read_in_linear_time(part: str) -> None:
    text = "distinct " + part * (MEGABYTE // len(part)) + " distinct"
    prepared = METRICS["spider_exec"].prepare(text)
    assert prepared is not None
    assert prepared.startswith(" ")
