"""Doubts about questions that have answers are rare: on the demo, and on a data folder if any."""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench.doubt_cases import asked_column, read_cases, with_second_column, without_column
from bench.doubts import measure
from service.demo import build_demo, questions_path
from service.generation.doubts import doubt
from tests.fixtures_gold import DATA

needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"false alarms: no {DATA.name} folder")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's questions and database, and one other database beside it."""
    home = tmp_path_factory.mktemp("demo")
    database = build_demo(home)
    other = home / "other" / "other.sqlite"
    other.parent.mkdir()
    shutil.copy(database, other)
    return Path(shutil.copy(questions_path(), home / "dev.json"))


def test_the_bench_fits_and_measures(demo: Path) -> None:
    cases = asyncio.run(read_cases(demo, demo.parent))
    found = measure(cases, values=True)
    assert found["false_alarms"]["of"] == len(cases) == 40
    assert found["false_alarms"]["rate"] <= 0.05
    asked = found["two_columns_found"]
    assert 0 < asked["count"] <= asked["of"]
    alike = [case for case in cases if not case.themes_differ]
    assert len(alike) == len(cases)  # the other database is a copy


def test_the_altered_schemas_are_what_they_say(demo: Path) -> None:
    cases = asyncio.run(read_cases(demo, demo.parent))
    case, place = next((case, place) for case in cases if (place := asked_column(case)))
    columns = {c.name for t in with_second_column(case.own, place).schema.tables for c in t.columns}
    assert {f"local_{place.column}", f"foreign_{place.column}"} <= columns
    left = without_column(case.own, place).schema
    table = next(table for table in left.tables if table.name == place.table)
    assert place.column not in {column.name for column in table.columns}


@needs_data
def test_false_alarms_stay_under_five_in_a_hundred() -> None:
    file = DATA / "dev" / "dev.json"
    cases = asyncio.run(read_cases(file, file.parent))
    asked = [
        doubt(c.question.question, c.question.evidence, (), c.own.schema, c.own.values)
        for c in cases
    ]
    assert sum(found is not None for found in asked) < 0.05 * len(cases)
    foreign = [
        doubt(c.question.question, "", (), c.other.schema, c.other.values)
        for c in cases
        if c.themes_differ
    ]
    assert sum(found is not None for found in foreign) > 0.8 * len(foreign)
