"""The examples of docs/answers.md are true, and its tables complete."""

import json
import re
from pathlib import Path

import pytest

from service.demo import build_demo
from service.generation.chart import chart
from service.generation.dialects import transpile
from service.generation.explain import explain
from service.generation.lineage import Lineage, lineage
from service.generation.portability.rules import RULES
from service.text2sql.schema import Schema
from tests.fixtures_gold import schema_of

TEXT = (Path(__file__).parents[1] / "docs" / "answers.md").read_text(encoding="utf-8")
EXPLAINED = re.findall(r"```sql\n(.+)\n```\n> (.+)\n", TEXT)
LINEAGES = re.findall(r"```sql\n(.+)\n```\n- tables: (.+)\n- columns: (.+)\n", TEXT)
WRITTEN = re.findall(r"^\| (\w+) \| `(SELECT .+)` \| `(SELECT .+)` \|$", TEXT, re.MULTILINE)
CHARTS = re.findall(r"```json\n(.+?)\n```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Schema:
    return schema_of(build_demo(tmp_path_factory.mktemp("demo")))


def test_the_examples_are_found() -> None:
    assert (len(EXPLAINED), len(LINEAGES), len(WRITTEN), len(CHARTS)) == (3, 1, 4, 1)


@pytest.mark.parametrize(("sql", "said"), EXPLAINED)
def test_the_explanations_are_those_given(sql: str, said: str, schema: Schema) -> None:
    assert explain(sql, schema) == said


@pytest.mark.parametrize(("sql", "tables", "columns"), LINEAGES)
def test_the_lineage_is_that_given(sql: str, tables: str, columns: str, schema: Schema) -> None:
    expected = Lineage(tuple(tables.split(", ")), tuple(columns.split(", ")))
    assert lineage(sql, schema) == expected


@pytest.mark.parametrize(("dialect", "sql", "written"), WRITTEN)
def test_the_dialects_are_written_so(dialect: str, sql: str, written: str, schema: Schema) -> None:
    assert transpile(sql, dialect, schema).sql == written


def test_the_chart_is_that_given() -> None:
    rows = [["online", 517], ["store", 483]]
    assert chart(["channel", "orders"], rows, ["text", "integer"]) == json.loads(CHARTS[0])


def test_every_warning_has_its_row() -> None:
    table = TEXT.split("| warning |")[1].split("\n\n")[0]
    named = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert [name.replace("\\|", "|") for name in named] == [rule.name for rule in RULES]
