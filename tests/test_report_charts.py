"""Axes with round numbers, lines and areas where their numbers put them."""

import re

import pytest

from trainer.report.areas import Column, columns, verdict_areas
from trainer.report.axes import running_mean, short, thinned, ticks, whole_ticks
from trainer.report.curves import Line, line_chart


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.0, 1.0, [0, 0.25, 0.5, 0.75, 1.0]),
        (0.0, 0.83, [0, 0.25, 0.5, 0.75, 1.0]),
        (-0.3, 1.2, [-0.5, 0, 0.5, 1.0, 1.5]),
        (31.0, 44.0, [30, 35, 40, 45]),
        (5.0, 5.0, [0, 2.5, 5, 7.5, 10]),
        (0.0, 0.0, [0, 0.25, 0.5, 0.75, 1.0]),
        (-2.0, -2.0, [-4, -3, -2, -1, 0]),
        (1e-6, 5e-5, [0, 2e-5, 4e-5, 6e-5]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(low: float, high: float, found: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(found)


def test_steps_are_marked_by_whole_numbers() -> None:
    assert whole_ticks(1, 3) == [1, 2, 3]
    assert whole_ticks(7, 7) == [7]
    assert whole_ticks(1, 160) == [50, 100, 150]


def test_a_running_mean_is_of_neighbours_and_keeps_the_length() -> None:
    assert running_mean([0, 3, 6, 0], 3) == [1.5, 3.0, 3.0, 3.0]
    assert running_mean([2.0], 5) == [2.0]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (0.12345, "0.123"), (5e-5, "5e-05"), (1240.4, "1,240"), (-0.5, "-0.5")],
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert short(value) == told


def test_the_first_and_the_last_of_many_are_kept() -> None:
    assert thinned(3, 10) == [0, 1, 2]
    kept = thinned(100_000, 400)
    assert (len(kept), kept[0], kept[-1]) == (400, 0, 99_999)


def test_a_line_rises_where_its_values_do_and_each_stage_is_named() -> None:
    lines = [Line("offline", [(1, 0.0), (2, 1.0)]), Line("grpo", [(3, 0.5)])]
    svg = line_chart("x", "A & B", lines)
    assert re.findall(r"<polyline[^>]+points=\"([^\"]+)\"", svg)[0] == "52.0,184.0 230.0,22.0"
    assert svg.count("<circle") == 3
    assert ">offline</text>" in svg
    assert "A &amp; B" in svg


def test_many_steps_have_a_mean_and_few_points() -> None:
    svg = line_chart("x", "t", [Line("grpo", [(n, float(n % 2)) for n in range(5000)])])
    assert svg.count("<polyline") == 2
    assert len(svg) < 20_000


def test_areas_stack_to_one_and_name_what_there_is() -> None:
    found = [Column(1, {"match": 1, "mismatch": 3}), Column(2, {"match": 2, "error": 2})]
    svg = verdict_areas("v", found)
    polygons = dict(re.findall(r'<polygon class="v-(\w+)" points="([^"]+)"', svg))
    assert list(polygons) == ["match", "mismatch", "error"]
    assert polygons["match"] == "52.0,178.5 590.0,123.0 590.0,234.0 52.0,234.0"
    assert polygons["error"].startswith("52.0,12.0 590.0,12.0 ")
    assert "At step 2: match 50%, mismatch 0%, error 50%" in svg


def test_neighbouring_steps_are_added_up_and_none_is_lost() -> None:
    found = columns([(n, {"match": 1, "masked": 2}) for n in range(1, 1001)] + [(1001, {})])
    assert len(found) <= 60
    assert sum(column.counts["match"] for column in found) == 1000
    assert columns([(1, {}), (2, {"match": 0})]) == []
