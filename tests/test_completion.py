"""Extraction and formats against their tables of cases, and against text made to be slow."""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.text2sql.completion import extract_sql, keeps_format
from service.text2sql.rewards.skyrl import keeps_skyrl_format
from service.text2sql.rewards.sql_r1 import read_response
from service.text2sql.types import EXTRACTS

FOLDER = Path(__file__).parent / "cases"
CASES = yaml.safe_load((FOLDER / "completion.yaml").read_text())
FORMATS = yaml.safe_load((FOLDER / "formats.yaml").read_text())

Reader = Callable[[str], object]
KEEPS: dict[str, Reader] = {
    **{mode: partial(keeps_format, mode=mode) for mode in EXTRACTS},
    "skyrl": keeps_skyrl_format,
    "sql_r1": read_response,
}
READERS: dict[str, Reader] = {
    **{f"extract {mode}": partial(extract_sql, mode=mode) for mode in EXTRACTS},
    **{f"format {name}": keeps for name, keeps in KEEPS.items()},
}

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
    "closed thinking": ("", "<think></think>", ""),
    "closings": ("", "</think></answer>", ""),
    "ends of thoughts": ("", "</think>", ""),
    "quoted tags": ("", "'<answer>' ", "'"),
    "tags in backticks": ("", "`</think>`", ""),
    "tags behind comments": ("", "--<answer>\n", ""),
    "comments with tags": ("", "/*<answer>*/", "/*"),
    "open comments behind tags": ("<answer>*/", "/*</answer>", ""),
    "quotes on one line": ("<think>", "' ", "</think>"),
    "tilde fences": ("", "~~~\n", ""),
    "attributes": ("", "```sql {", ""),
    "turns": ("<|im_start|>user", "<|im_start|>assistant\n", ""),
    "ends in quotes": ("", "'<|im_end|>' ", ""),
    "broken tokens": ("", "<|", ""),
    "channels": ("", "<|channel|>final", ""),
    "members": ("{", '"sql":', ""),
    "escapes in a member": ('{"sql":"', '\\"', ""),
    "solutions": ("<think></think>", "<solution></solution>", ""),
    "observations": ("<think>", "</observation>\n \n", "<solution></solution>"),
    "fences in an answer": ("<think></think><answer>", "```sql", "</answer>"),
    "a mixture": ("SELECT 1", "<answer>`\n\n(--'", "FROM t"),
}


def hostile(name: str, length: int) -> str:
    head, unit, tail = HOSTILE[name]
    return head + unit * (length // len(unit)) + tail


def seconds(read: Reader, text: str) -> float:
    before = time.process_time()
    read(text)
    return time.process_time() - before


def least(read: Reader, text: str) -> float:
    """Processor time, the least of three: what else the machine does can only add to it."""
    return min(seconds(read, text) for _ in range(3))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_case(case: dict[str, Any]) -> None:
    assert extract_sql(case["text"], case["mode"]) == case["sql"]


@pytest.mark.parametrize("case", FORMATS, ids=lambda case: case["name"])
def test_format(case: dict[str, Any]) -> None:
    assert bool(KEEPS[case["format"]](case["text"])) == case["keeps"]


def test_every_mode_has_cases() -> None:
    counts = Counter(case["mode"] for case in CASES)
    assert counts.keys() == set(EXTRACTS)
    assert min(counts.values()) >= 15
    assert {case["format"] for case in FORMATS} == KEEPS.keys()


@pytest.mark.parametrize("mode", [mode for mode in EXTRACTS if mode != "none"])
@pytest.mark.parametrize("text", ["", "I do not know.", "```sql\n```", "<answer></answer>", "42"])
def test_a_missing_query_is_never_made_up(text: str, mode: Any) -> None:
    # NeMo Gym's extractor answers `SELECT 1` then, which is right where the gold's answer is 1.
    assert extract_sql(text, mode) is None


@pytest.mark.parametrize("mode", EXTRACTS)
def test_comments_and_white_space_reach_the_engine_as_written(mode: Any) -> None:
    # Peers drop comments up to the end of the text, or join lines so that `--` eats the query.
    sql = "SELECT a, -- first -- of\n  'x  -- y' /* b\n */ FROM t\n\n  WHERE b = '/*' -- end"
    wrapped = {
        "none": sql,
        "auto": sql,
        "sql_fence": f"```sql\n{sql}\n```",
        "answer_tag": f"<answer>{sql}</answer>",
        "solution_tag": f"<solution>\n{sql}\n</solution>",
    }
    assert extract_sql(wrapped[mode], mode) == sql


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("reader", READERS)
def test_the_work_grows_in_step_with_hostile_text(name: str, reader: str) -> None:
    part = least(READERS[reader], hostile(name, 25_000))
    whole = least(READERS[reader], hostile(name, 100_000))
    assert whole < 10 * max(part, 0.002)  # Less than 2 ms is noise.


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_hostile_text_is_read_at_once(name: str) -> None:
    text = hostile(name, 10**6)
    for reader, read in READERS.items():
        assert seconds(read, text) < 5, reader
