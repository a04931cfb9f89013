"""The formulas of an evaluation against numbers computed apart from them."""

from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.text2sql.evaluation.accuracy import wilson
from service.text2sql.evaluation.mcnemar import exact_p
from service.text2sql.evaluation.outcome import Sample
from service.text2sql.evaluation.paired import difference, newcombe
from service.text2sql.evaluation.sampling import majority_at_k, pass_at_k, vote_groups

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "cases" / "evaluation.yaml").read_text()
)
Case = dict[str, Any]


def _cases(name: str) -> Any:
    return pytest.mark.parametrize("case", CASES[name], ids=str)


@_cases("wilson")
def test_the_interval_of_a_share_is_wilsons(case: Case) -> None:
    found = wilson(case["right"], case["judged"])
    assert found == pytest.approx((case["low"], case["high"]), abs=5.1e-5)


@_cases("pass_at_k")
def test_pass_at_k_is_the_unbiased_estimator(case: Case) -> None:
    found = pass_at_k(case["n"], case["c"], case["k"])
    assert found == pytest.approx(float(Fraction(case["value"])))


@pytest.mark.parametrize(("n", "c", "k"), [(0, 0, 1), (3, 4, 1), (3, 1, 4), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_of_impossible_counts_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, c, k)


@_cases("majority_at_k")
def test_majority_at_k_is_the_chance_over_all_draws(case: Case) -> None:
    groups = tuple((size, right) for size, right in case["groups"])
    found = majority_at_k(groups, case["silent"], case["k"])
    assert found == pytest.approx(float(Fraction(case["value"])))


def test_majority_at_k_counts_what_drawing_one_by_one_counts() -> None:
    groups = ((4, False), (3, True), (2, True), (1, False))
    samples = [n for n, (size, _) in enumerate(groups) for _ in range(size)] + [None, None]
    for k in range(1, len(samples) + 1):
        draws = list(combinations(samples, k))
        won = sum(_share_won(draw, groups) for draw in draws)
        assert majority_at_k(groups, 2, k) == pytest.approx(float(won / len(draws)))


def _share_won(draw: tuple[int | None, ...], groups: tuple[tuple[int, bool], ...]) -> Fraction:
    sizes = [draw.count(n) for n in range(len(groups))]
    if not max(sizes):
        return Fraction(0)
    tied = [right for size, (_, right) in zip(sizes, groups, strict=True) if size == max(sizes)]
    return Fraction(sum(tied), len(tied))


@pytest.mark.parametrize("k", [0, 3])
def test_majority_at_k_of_impossible_counts_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="majority@k needs"):
        majority_at_k(((2, True),), 0, k)


@_cases("vote_groups")
def test_groups_are_told_from_votes(case: Case) -> None:
    samples = [
        Sample("SELECT 1", "match" if right else "mismatch", {"bird_ex": float(right)}, votes=votes)
        for votes, right in case["samples"]
    ]
    found = vote_groups(samples, "bird_ex")
    if case["groups"] is None:
        assert found is None
    else:
        assert found == (tuple((size, right) for size, right in case["groups"]), case["silent"])


@_cases("mcnemar")
def test_mcnemar_is_the_exact_binomial_test(case: Case) -> None:
    found = exact_p(case["only_a"], case["only_b"])
    assert found == pytest.approx(float(Fraction(case["p"])))


def test_mcnemar_of_many_questions_neither_overflows_nor_vanishes() -> None:
    assert exact_p(3000, 3000) == 1.0
    assert 0.0 < exact_p(2900, 3100) < 0.02


@_cases("newcombe")
def test_the_interval_of_a_paired_difference_is_newcombes(case: Case) -> None:
    counts = case["counts"]
    assert difference(*counts) == pytest.approx(case["difference"], abs=5e-5)
    assert newcombe(*counts) == pytest.approx((case["low"], case["high"]), abs=5e-5)


def test_the_difference_turns_round_with_the_runs() -> None:
    both, only_a, only_b, neither = 20, 12, 2, 16
    low, high = newcombe(both, only_a, only_b, neither)
    assert newcombe(both, only_b, only_a, neither) == pytest.approx((-high, -low))
