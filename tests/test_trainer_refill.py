"""Groups without signal give way to other questions."""

import warnings
from typing import Any

import pytest

from trainer.schedule import Stream

ROWS = [{"question_id": str(number)} for number in range(5)]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load torch once, for this file only: its packages warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import trainer.grpo.refill  # noqa: F401


def batch(advantages: list[float], prompt: int, completion: int, fill: int) -> dict[str, Any]:
    """Two completions a group, with tokens and masks of the given widths."""
    import torch

    size = len(advantages)
    return {
        "advantages": torch.tensor(advantages),
        "prompt_ids": torch.full((size, prompt), fill),
        "prompt_mask": torch.ones(size, prompt, dtype=torch.long),
        "completion_ids": torch.full((size, completion), fill),
        "completion_mask": torch.ones(size, completion, dtype=torch.long),
        "num_items_in_batch": torch.tensor(size * completion),
    }


def test_only_the_group_without_signal_is_replaced() -> None:
    from trainer.grpo.refill import Refill

    asked: list[list[str]] = []

    def generate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        asked.append([row["question_id"] for row in rows])
        return batch([1.0, -1.0], 3, 1, fill=8)

    refill = Refill(ROWS, Stream(5, seed=0), rounds=3)
    found = refill.apply(batch([0.0, 0.0, 0.5, -0.5], 2, 4, fill=7), 2, generate)
    assert found["advantages"].tolist() == [1.0, -1.0, 0.5, -0.5]
    assert found["prompt_ids"].tolist() == [[8, 8, 8]] * 2 + [[0, 7, 7]] * 2
    assert found["completion_mask"].tolist() == [[1, 0, 0, 0]] * 2 + [[1, 1, 1, 1]] * 2
    assert found["num_items_in_batch"] == 10
    assert len(asked) == 1
    assert len(set(asked[0])) == 1
    assert refill.cursor == 1


def test_it_gives_up_after_its_rounds() -> None:
    from trainer.grpo.refill import Refill

    refill = Refill(ROWS, Stream(5, seed=0), rounds=2)
    start = batch([0.0, 0.0], 2, 2, fill=7)
    found = refill.apply(start, 2, lambda rows: batch([0.0, 0.0], 2, 2, fill=9))
    assert found["prompt_ids"].tolist() == start["prompt_ids"].tolist()
    assert refill.cursor == 2


def test_it_goes_on_from_its_cursor() -> None:
    from trainer.grpo.refill import Refill

    asked: list[str] = []

    def generate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        asked.append(rows[0]["question_id"])
        return batch([0.0, 0.0], 1, 1, fill=9)

    Refill(ROWS, Stream(5, seed=3), rounds=5).apply(batch([0.0, 0.0], 1, 1, 7), 2, generate)
    whole = list(asked)
    asked.clear()
    again = Refill(ROWS, Stream(5, seed=3), rounds=2)
    again.cursor = 3
    again.apply(batch([0.0, 0.0], 1, 1, 7), 2, generate)
    assert asked == whole[3:]
