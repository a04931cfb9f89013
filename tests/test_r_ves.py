"""The time reward, and the timing of gold against prediction."""

import time

import pytest

from service.sandbox.timing import time_ratios
from service.text2sql.compare.r_ves import reward_of

BUCKETS = [
    (4.0, 1.25),
    (2.0, 1.25),
    (1.999, 1.0),
    (1.0, 1.0),
    (0.999, 0.75),
    (0.5, 0.75),
    (0.499, 0.5),
    (0.25, 0.5),
    (0.249, 0.25),
    (0.0001, 0.25),
]


@pytest.mark.parametrize(("ratio", "reward"), BUCKETS)
@pytest.mark.parametrize("runs", [1, 2, 100])
def test_mean_ratio_falls_into_its_bucket(ratio: float, reward: float, runs: int) -> None:
    # Equal ratios, which BIRD's evaluator would drop one and all, count as they are.
    assert reward_of([ratio] * runs) == (reward, pytest.approx(ratio), pytest.approx(0))


def test_an_outlier_is_dropped_before_the_mean_is_taken() -> None:
    # Twenty ratios of 0.8 and 1.0 and one of 50: mean 3.24, deviation 10.46, so 50 is dropped.
    found = reward_of([0.8, 1.0] * 10 + [50.0])
    assert found == (0.75, pytest.approx(0.9), pytest.approx(0.1))


def test_a_spread_without_outliers_is_kept() -> None:
    assert reward_of([1.0, 3.0]) == (1.25, 2.0, 1.0)


def test_no_ratio_is_no_reward() -> None:
    with pytest.raises(ValueError, match="no run was timed"):
        reward_of([])


def test_gold_and_prediction_take_turns_in_who_goes_first() -> None:
    runs: list[str] = []
    ratios = time_ratios(lambda: runs.append("g"), lambda: runs.append("p"), 4, float("inf"))
    assert "".join(runs) == "pg" + "gp" + "pg" + "gp"
    assert len(ratios) == 4
    assert min(ratios) > 0


def test_a_slow_prediction_has_a_small_ratio() -> None:
    def slow() -> None:
        sum(range(2_000_000))

    assert max(time_ratios(int, slow, 3, float("inf"))) < 1


def test_one_pair_is_timed_even_after_the_deadline() -> None:
    assert len(time_ratios(int, int, 100, time.monotonic() - 1)) == 1


def test_a_failing_run_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        time_ratios(int, lambda: 1 // 0, 3, float("inf"))
