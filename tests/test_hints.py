"""What the schema says about a name that is not where the query looked for it."""

import pytest

from service.generation.hints import hint
from service.text2sql.schema import Column, Schema, Table


def _table(name: str, *columns: str) -> Table:
    return Table(name, "table", tuple(Column(c, "TEXT", False, 0) for c in columns))


SCHEMA = Schema(
    "cars",
    (
        _table("car_names", "MakeId", "Model"),
        _table("cars_data", "Id", "MPG", "Year"),
        _table("model list", "ModelId", "Model", "order"),
    ),
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("no such column: Year", "cars_data.Year"),
        ("no such column: T1.year", "cars_data.Year"),
        ("no such column: main.car_names.MPG", "cars_data.MPG"),
        ("no such column: Mode", 'car_names.Model, "model list".Model'),
        ("ambiguous column name: Model", 'car_names.Model, "model list".Model'),
        ('no such column: "order"', '"model list"."order"'),
        ("no such table: car_data", "cars_data"),
        ("no such table: main.car_name", "car_names"),
        ("no such column: Year (the answer was cut at max_tokens=9)", "cars_data.Year"),
    ],
)
def test_a_missing_name_is_shown_where_it_is(error: str, words: str) -> None:
    assert words in hint(error, SCHEMA)


@pytest.mark.parametrize(
    "error", ["no such column: zzzz", "no such table: zzzz", 'near "FORM": syntax error', ""]
)
def test_nothing_is_said_where_nothing_is_near(error: str) -> None:
    assert hint(error, SCHEMA) == ""
