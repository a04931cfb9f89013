"""extract_sql against the table of cases, and against text made to be slow."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.text2sql.completion import extract_sql
from service.text2sql.types import EXTRACTS, Extract

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "completion.yaml").read_text())

# Beginning, what is repeated, end.
HOSTILE = {
    "backticks": ("", "`", ""),
    "open fences": ("", "```sql\n", ""),
    "open tags": ("", "<answer>", ""),
    "open thinking": ("", "<think>", ""),
    "open angles": ("", "<", ""),
    "spaces": ("", " ", ""),
    "tabs and lines": ("", "\t\n", ""),
    "blank lines before prose": ("SELECT 1", "\n", "x"),
    "blank lines in a query": ("SELECT 1", "\n", "FROM t"),
    "lines of spaces in a query": ("SELECT 1", "\n  ", "\nFROM t"),
    "blank lines in a fence": ("```sql\nSELECT 1", "\n", "FROM t"),
    "paragraphs of a query": ("SELECT 1", "\n\nFROM t", ""),
    "parentheses": ("", "(", "SELECT"),
    "with and spaces": ("WITH x", " ", ""),
    "with on every line": ("", "WITH x (\n", ""),
    "open quotes": ("SELECT ", "'", ""),
    "open comments": ("SELECT ", "/*", ""),
    "colons": ("", "a:", ""),
    "words": ("", "SELECT", ""),
    "line comments in a block": ("```\n", "--\n", ""),
    "a mixture": ("SELECT 1", "<answer>`\n\n(--'", "FROM t"),
}


def hostile(name: str, length: int) -> str:
    head, unit, tail = HOSTILE[name]
    return head + unit * (length // len(unit)) + tail


def seconds(text: str, mode: Extract) -> float:
    """Processor time, the least of three: what else the machine does can only add to it."""

    def once() -> float:
        before = time.process_time()
        extract_sql(text, mode)
        return time.process_time() - before

    return min(once() for _ in range(3))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    assert extract_sql(case["text"], case["mode"]) == case["sql"]


def test_every_mode_has_cases() -> None:
    assert {case["mode"] for case in CASES} == set(EXTRACTS)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", EXTRACTS)
def test_the_work_grows_in_step_with_hostile_text(name: str, mode: Extract) -> None:
    part = seconds(hostile(name, 50_000), mode)
    whole = seconds(hostile(name, 200_000), mode)
    assert whole < 10 * max(part, 0.002)  # Less than 2 ms is noise.


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", EXTRACTS)
def test_a_megabyte_of_hostile_text_is_read_at_once(name: str, mode: Extract) -> None:
    assert seconds(hostile(name, 10**6), mode) < 2
