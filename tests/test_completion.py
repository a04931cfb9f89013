"""extract_sql against the table of cases, and against text made to be slow."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.text2sql.completion import extract_sql
from service.text2sql.types import EXTRACTS

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "completion.yaml").read_text())

HOSTILE = {
    "backticks": "`" * 10**6,
    "open fences": "```sql\n" * 150_000,
    "open tags": "<answer>" * 120_000,
    "open thinking": "<think>" * 140_000,
    "spaces": " " * 10**6,
    "tabs and lines": "\t\n" * 500_000,
    "blank lines in a query": "SELECT 1" + "\n" * 10**6 + "x",
    "parentheses": "(" * 10**6 + "SELECT",
    "with and spaces": "WITH x" + " " * 10**6,
    "with on every line": "WITH x (\n" * 110_000,
    "open quotes": "SELECT " + "'" * 999_999,
    "open comments": "SELECT " + "/*" * 499_999,
    "colons": "a:" * 500_000,
    "words": "SELECT" * 160_000,
    "line comments in a block": "```\n" + "--\n" * 330_000,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    assert extract_sql(case["text"], case["mode"]) == case["sql"]


def test_every_mode_has_cases() -> None:
    assert {case["mode"] for case in CASES} == set(EXTRACTS)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", EXTRACTS)
def test_a_megabyte_of_hostile_text_is_read_in_linear_time(name: str, mode: Any) -> None:
    before = time.process_time()
    extract_sql(HOSTILE[name], mode)
    assert time.process_time() - before < 2
