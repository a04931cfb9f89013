"""How a step is cut into passes."""

import pytest

from trainer.batching import Shape, activation_bytes, plan

SMALL = Shape(layers=30, heads=9, hidden=576, intermediate=1536)  # 135M
GIB = 2**30


@pytest.mark.parametrize(
    ("completions", "longest", "per_pass"),
    [(16, 464, 2), (16, 100, 8), (16, 2000, 1), (6, 200, 3), (7, 400, 1), (4, 100, 4)],
)
def test_a_pass_takes_as_many_as_divide_the_step(
    completions: int, longest: int, per_pass: int
) -> None:
    found = plan(completions, longest, SMALL, 8 * GIB, on_cpu=True)
    assert found.sequences_per_pass == per_pass
    assert found.sequences_per_pass * found.passes == completions


def test_activations_are_kept_where_they_fit() -> None:
    assert not plan(16, 1000, SMALL, 8 * GIB, on_cpu=True).checkpoint_activations
    assert plan(16, 1000, SMALL, 4 * GIB, on_cpu=True).checkpoint_activations


def test_the_estimate_is_near_what_was_measured() -> None:
    """Peak memory of 1 and of 4 sequences of 464 tokens differs by 3.63 GB."""
    assert activation_bytes(464, SMALL) == pytest.approx(3.63e9 / 3, rel=0.15)
