"""Charts: the shape that fits, and that Vega-Lite's own JSON schema takes every one of them."""

import importlib.util
import json
import math
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from service.generation.chart import MAX_ROWS, chart
from service.generation.result_types import TYPES, column_types

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "charts.yaml").read_text())


@cache
def vega_lite() -> Draft7Validator:
    """Vega-Lite's schema as altair carries it, read without importing altair."""
    found = importlib.util.find_spec("altair")
    assert found is not None
    assert found.origin is not None
    place = Path(found.origin).parent / "vegalite" / "v6" / "schema" / "vega-lite-schema.json"
    return Draft7Validator(json.loads(place.read_text(encoding="utf-8")))


def assert_valid(spec: dict[str, Any]) -> None:
    text = json.dumps(spec, allow_nan=False)
    assert [error.message[:200] for error in vega_lite().iter_errors(json.loads(text))] == []


def made(case: dict[str, Any]) -> dict[str, Any] | None:
    types = column_types(case["columns"], case["rows"], case.get("declared", ()))
    return chart(case["columns"], case["rows"], types)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_result_gets_the_chart_that_fits(case: dict[str, Any]) -> None:
    spec = made(case)
    if case["chart"] is None:
        assert spec is None
        return
    assert spec is not None
    assert_valid(spec)
    shown = {name: channel.get("title") for name, channel in spec["encoding"].items()}
    assert {"mark": spec["mark"]["type"], **shown} == case["chart"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_field_is_in_the_data(case: dict[str, Any]) -> None:
    spec = made(case)
    if spec is not None:
        fields = {channel["field"] for channel in spec["encoding"].values()}
        assert all(fields <= row.keys() for row in spec["data"]["values"])


def test_the_schema_refuses_what_is_not_vega_lite() -> None:
    spec = made(CASES[0])
    assert spec is not None
    spec["encoding"]["x"]["type"] = "colourful"
    assert list(vega_lite().iter_errors(spec)) != []


def test_rows_keep_their_order_and_moments_are_utc() -> None:
    rows = [["2024-02", 5], ["2024-01", 3]]
    spec = chart(["month", "n"], rows, ["text", "integer"])
    assert spec is not None
    assert spec["data"]["values"] == [
        {"f0": "2024-02-01T00:00:00Z", "f1": 5},
        {"f0": "2024-01-01T00:00:00Z", "f1": 3},
    ]
    bars = chart(["name", "n"], [["b", 1], ["a", 2]], ["text", "integer"])
    assert bars is not None
    assert bars["encoding"]["x"]["sort"] is None


def test_numbers_that_json_lacks_are_left_out() -> None:
    rows = [["a", math.inf], ["b", 2**70], ["c", None], ["d", 1.5]]
    spec = chart(["name", "n"], rows, ["text", "real"])
    assert spec is not None
    assert [row["f1"] for row in spec["data"]["values"]] == [None, float(2**70), None, 1.5]


def test_several_numbers_of_one_name_are_told_apart() -> None:
    spec = chart(["k", "n", "n"], [["x", 5, 1], ["y", 3, 2]], ["text", "integer", "integer"])
    assert spec is not None
    assert [row["measure"] for row in spec["data"]["values"][:2]] == ["n (1)", "n (2)"]


def test_bytes_never_reach_a_chart() -> None:
    rows = [["a", b"\x00\xff", 1], ["b", b"\x01", 2]]
    types = column_types(["name", "photo", "n"], rows)
    spec = chart(["name", "photo", "n"], rows, types)
    assert types == ["text", "blob", "integer"]
    assert spec is not None
    assert_valid(spec)


def test_too_many_rows_or_categories_get_no_chart() -> None:
    numbers = [[n * 1.5, n * 2.5] for n in range(MAX_ROWS + 1)]
    assert chart(["a", "b"], numbers, ["real", "real"]) is None
    assert chart(["a", "b"], numbers[:-1], ["real", "real"]) is not None
    names = [[f"name {n}", n] for n in range(60)]
    assert chart(["name", "n"], names, ["text", "integer"]) is None


def test_rows_that_do_not_fit_the_columns_get_no_chart() -> None:
    assert chart(["a", "b"], [["x"], ["y"]], ["text", "integer"]) is None
    assert chart(["a", "b"], [["x", 1], ["y", 2]], ["text"]) is None
    assert chart([], [], []) is None


@pytest.mark.parametrize(
    ("values", "declared", "type_"),
    [
        ([1, 2, None], "INTEGER", "integer"),
        ([1, 2.5], "REAL", "real"),
        (["x", 1], "TEXT", "text"),
        (["2024-01-31", None], "TEXT", "date"),
        (["2024-01-31 10:00:00", "2024-01-31T10:00Z"], "TEXT", "datetime"),
        (["2024-01-31", "2024-01-31 10:00"], None, "datetime"),
        (["2024-13-31"], "DATE", "text"),
        (["2024-01-31x"], "DATE", "text"),
        ([0, 1, None], "BOOLEAN", "boolean"),
        ([0, 1, 2], "BOOLEAN", "integer"),
        ([0, 1], "INTEGER", "integer"),
        ([True, False], None, "boolean"),
        ([b"x"], "BLOB", "blob"),
        ([b"x", "x"], None, "text"),
        ([None, None], "TEXT", "null"),
        ([], "TEXT", "null"),
    ],
)
def test_a_columns_type_is_that_of_its_values(
    values: list[Any], declared: str | None, type_: str
) -> None:
    assert column_types(["c"], [[value] for value in values], [declared]) == [type_]


NAMES = [
    "",
    " ",
    "id",
    "user_id",
    "a.b",
    "x[0]",
    "it's",
    '"q"',
    "year",
    "n",
    "n",
    "é\n",
    "\\",
    "f0",
]
VALUES = {
    "integer": lambda r: r.choice([0, 1, -5, 2023, 2**63 - 1, -(2**63)]),
    "real": lambda r: r.choice([0.0, -1.5, 1e300, math.inf, -math.inf, 5e-324]),
    "text": lambda r: r.choice(["", "a", "b'c", '"', "x" * 300, "2024", "2024-05", "é\u2028"]),
    "date": lambda r: f"20{r.randint(10, 30)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
    "datetime": lambda r: f"2024-01-{r.randint(1, 28):02d} {r.randint(0, 23):02d}:00:00",
    "boolean": lambda r: r.choice([True, False, 0, 1]),
    "blob": lambda r: bytes([r.randint(0, 255)]),
    "null": lambda r: None,
}


@pytest.mark.parametrize("seed", range(40))
def test_any_result_gets_a_valid_chart_or_none(seed: int) -> None:
    assert set(VALUES) == set(TYPES)
    chance = random.Random(seed)
    for _ in range(40):
        kinds = [chance.choice(TYPES) for _ in range(chance.randint(1, 4))]
        columns = [chance.choice(NAMES) for _ in kinds]
        size = chance.choice([0, 1, 2, 5, 12])
        rows = [
            [None if chance.random() < 0.1 else VALUES[kind](chance) for kind in kinds]
            for _ in range(size)
        ]
        types = column_types(columns, rows) if chance.random() < 0.7 else kinds
        spec = chart(columns, rows, types)
        assert spec == chart(columns, rows, types)
        if spec is not None:
            assert_valid(spec)
