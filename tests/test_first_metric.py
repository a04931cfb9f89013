"""Metrics of one request: the first decides the status, those with other texts run together."""

from collections.abc import Iterator

import pytest

from service.text2sql.types import METRICS, Metric, Verdict, is_right
from tests.arena import Arena

BUCKETS = {0.25, 0.5, 0.75, 1.0, 1.25}
UNTIMED = [metric for metric in METRICS if metric != "bird_r_ves"]
SLOW = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1500000) \
SELECT max(x) FROM c) > 0"
TWICE = "SELECT city FROM customer WHERE city = 'Rome'"
ONCE = "SELECT DISTINCT city FROM customer WHERE city = 'Rome'"
TURNED = "SELECT name, id FROM customer"


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The shop, and a worker that keeps no verdicts."""
    with Arena(tmp_path_factory.mktemp("metrics")) as ready:
        yield ready


def _judge(arena: Arena, gold: str, prediction: str, *metrics: Metric) -> Verdict:
    return arena.verify(gold, prediction, metrics=metrics).verdicts[0]


@pytest.mark.parametrize("first", METRICS)
@pytest.mark.parametrize(
    ("gold", "prediction", "right"),
    [
        pytest.param(TWICE, TWICE.lower().replace("rome", "Rome"), set(METRICS), id="same"),
        pytest.param(TWICE, "SELECT 'Bern'", set(), id="other"),
        pytest.param(
            *("SELECT id, name FROM customer", TURNED),
            {"spider_exec", "spider_exec_keep_distinct", "spider2_lite", "bird_soft_f1"},
            id="columns turned",
        ),
        pytest.param(
            *("SELECT city, id > 0 FROM customer WHERE city = 'Rome'",),
            "SELECT DISTINCT city, id > 0 FROM customer WHERE city = 'Rome'",
            {"bird_ex", "bird_r_ves", "spider_exec", "bird_soft_f1"},
            id="one of two",
        ),
    ],
)
def test_the_status_follows_the_first_metric_and_the_values_do_not(
    arena: Arena, first: Metric, gold: str, prediction: str, right: set[str]
) -> None:
    rest = [metric for metric in METRICS if metric != first]
    verdict = _judge(arena, gold, prediction, first, *rest)
    assert list(verdict.metrics) == [first, *rest]
    assert {m for m in METRICS if is_right(m, verdict.metrics[m])} == right
    assert verdict.status == ("match" if first in right else "mismatch")
    assert verdict.reward == float(first in right)
    alone = _judge(arena, gold, prediction, first)
    assert alone.status == verdict.status
    if first in UNTIMED:
        assert alone.metrics[first] == verdict.metrics[first]


def test_the_time_reward_says_how_it_was_measured(arena: Arena) -> None:
    verdict = _judge(arena, TWICE, ONCE, "bird_r_ves")
    assert verdict.status == "match"
    assert verdict.metrics["bird_r_ves"] in BUCKETS
    assert verdict.timing
    assert set(verdict.timing) == {"ratio", "spread", "runs"}
    assert verdict.timing["runs"] == 100
    assert _judge(arena, TWICE, "SELECT 1", "bird_r_ves").timing is None


@pytest.mark.parametrize(
    ("gold", "prediction", "value"), [(SLOW, "1", 1.25), ("1", SLOW, 0.25)], ids=["fast", "slow"]
)
def test_a_faster_answer_earns_more_and_a_slower_one_less(
    arena: Arena, gold: str, prediction: str, value: float
) -> None:
    gold, prediction = (f"SELECT id FROM customer WHERE {c}" for c in (gold, prediction))
    report = arena.verify(gold, prediction, metrics=("bird_r_ves",), timeout_s=3.0)
    verdict = report.verdicts[0]
    assert (verdict.status, verdict.metrics) == ("match", {"bird_r_ves": value})


def test_a_gold_slower_than_the_limit_of_a_prediction_is_no_fault_of_it(arena: Arena) -> None:
    gold = f"SELECT id FROM customer WHERE {SLOW.replace('15', '75')}"
    report = arena.verify(gold, "SELECT id FROM customer", metrics=("bird_r_ves",), timeout_s=0.05)
    verdict = report.verdicts[0]
    assert (verdict.status, verdict.metrics) == ("match", {"bird_r_ves": 1.25}), verdict


def test_a_text_that_one_metric_cuts_is_run_as_each_metric_would(arena: Arena) -> None:
    sql = f"{TWICE}; SELECT 1"
    bird = _judge(arena, TWICE, sql, "bird_ex", "spider_exec")
    spider = _judge(arena, TWICE, sql, "spider_exec", "bird_ex")
    assert bird.metrics == spider.metrics
    assert bird.metrics["bird_ex"] == 0.0
    assert (bird.status, bird.reward) == ("forbidden", 0.0)
    expected = "match" if spider.metrics["spider_exec"] else "forbidden"
    assert spider.status == expected


def test_a_share_of_the_cells_is_a_mismatch_with_its_value(arena: Arena) -> None:
    verdict = _judge(arena, "SELECT name FROM customer", "SELECT 'Ada'", "bird_soft_f1")
    assert verdict.status == "mismatch"
    assert verdict.metrics["bird_soft_f1"] == pytest.approx(0.4)  # 1 of 4 found, none too many
    assert verdict.reward == 0.0
