"""The offline stage's losses, against the formulas of their papers, worked out by hand."""

import math
import warnings
from typing import Any

import pytest

from trainer.offline.examples import Example

LOGPS = [[-0.1, -0.7], [-0.4], [-1.5, -0.2, -0.3]]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load torch once, for this file only: its packages warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import trainer.offline.objectives  # noqa: F401


def example(weights: list[float], logps: list[list[float]] = LOGPS) -> Example:
    return Example("1", [1], [[2] * len(one) for one in logps], weights, logps)


def tensors(logps: list[list[float]] = LOGPS) -> list[Any]:
    import torch

    return [torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in logps]


def test_rejection_is_the_mean_over_completions_of_the_mean_over_tokens() -> None:
    from trainer.offline.objectives import rejection_loss

    loss = rejection_loss(example([1, 1, 1]), tensors())
    assert loss.item() == pytest.approx((0.4 + 0.4 + 2.0 / 3) / 3)


def test_weighted_has_the_gradient_of_the_policy_where_nothing_has_moved_yet() -> None:
    from trainer.offline.objectives import WeightedLoss

    logps = tensors()
    WeightedLoss(0.2, 0.28)(example([1.0, -2.0, 0.5]), logps).backward()
    for one, weight in zip(logps, [1.0, -2.0, 0.5], strict=True):
        expected = -weight / len(one) / 3
        assert one.grad.tolist() == pytest.approx([expected] * len(one))


@pytest.mark.parametrize(
    ("weight", "moved", "flows"), [(1, 0.5, False), (1, -0.5, True), (-1, -0.5, False)]
)
def test_weighted_stops_where_the_policy_has_moved_far_enough(
    weight: float, moved: float, flows: bool
) -> None:
    from trainer.offline.objectives import WeightedLoss

    (logp,) = tensors([[-1.0 + moved]])
    WeightedLoss(0.2, 0.28)(example([weight], [[-1.0]]), [logp]).backward()
    assert bool(logp.grad.abs().sum() > 0) == flows


def test_dpo_is_the_formula_of_its_paper() -> None:
    from trainer.offline.objectives import PreferenceLoss

    old = [[-0.2, -0.8], [-1.0, -0.5, -0.5]]
    new = tensors([[-0.1, -0.7], [-1.5, -0.2, -0.3]])
    loss = PreferenceLoss(beta=0.5)(example([1, -1], old), new)
    margin = 0.5 * ((-0.8 + 1.0) - (-2.0 + 2.0))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-margin)))


def test_dpo_starts_at_log_two() -> None:
    from trainer.offline.objectives import PreferenceLoss

    pair = [LOGPS[0], LOGPS[2]]
    loss = PreferenceLoss(beta=0.1)(example([1, -1], pair), tensors(pair))
    assert loss.item() == pytest.approx(math.log(2))
