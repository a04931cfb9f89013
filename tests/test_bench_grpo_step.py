"""The step bench pays every group both rewards, whatever its completions say."""

import warnings

import pytest


@pytest.mark.parametrize("group_size", [2, 3, 8])
def test_each_group_has_a_signal_even_where_all_completions_are_alike(group_size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TRL's, of the packages that are there.
        from bench.grpo_step import rewards
    for text in ("a", "d"):  # One checksum is odd, the other even.
        found = list(rewards(group_size, [text] * group_size * 3))
        groups = [found[n : n + group_size] for n in range(0, len(found), group_size)]
        assert [set(group) for group in groups] == [{0.0, 1.0}] * 3
