"""Groups without signal are asked anew with other questions: DAPO's dynamic sampling, bounded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from trainer.schedule import Stream

Scored = dict[str, Any]
"""TRL's generation batch: tensors (B, ...) and numbers."""
Generate = Callable[[list[dict[str, Any]]], Scored]


class Refill:
    """Draws questions from a stream of its own, whose cursor belongs to the checkpoint."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], stream: Stream, rounds: int) -> None:
        self._rows = rows
        self._stream = stream
        self._rounds = rounds

    @property
    def cursor(self) -> int:
        """How many questions were drawn."""
        return self._stream.cursor

    @cursor.setter
    def cursor(self, cursor: int) -> None:
        self._stream = self._stream.at(cursor)

    def apply(self, scored: Scored, group_size: int, generate: Generate) -> Scored:
        """The batch with up to `rounds` attempts at each group whose advantages are all 0."""
        for _ in range(self._rounds):
            dead = without_signal(scored, group_size)
            if not dead:
                break
            drawn = [self._rows[place] for place in self._stream.next(len(dead))]
            more = generate([dict(row) for row in drawn for _ in range(group_size)])
            alive = [n for n in range(len(dead)) if n not in without_signal(more, group_size)]
            scored = replaced(scored, {dead[n]: n for n in alive}, more, group_size)
        return scored


def without_signal(scored: Scored, group_size: int) -> list[int]:
    """Numbers of the groups whose advantages are all 0."""
    some = scored["advantages"].view(-1, group_size).any(dim=1)
    return [number for number, useful in enumerate(some.tolist()) if not useful]


def replaced(scored: Scored, places: Mapping[int, int], more: Scored, group_size: int) -> Scored:
    """The batch with group `a` replaced by group `b` of `more`, for each a: b of `places`.

    Prompts are padded on the left and completions on the right to the longer of both batches.
    """
    if not places:
        return scored
    taken: Scored = {}
    for name, value in scored.items():
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            continue
        old, new = _same_width(name, value, more[name])
        old = old.clone()
        for place, other in places.items():
            old[place * group_size : (place + 1) * group_size] = new[
                other * group_size : (other + 1) * group_size
            ]
        taken[name] = old
    return scored | taken | {"num_items_in_batch": taken["completion_mask"].sum()}


def _same_width(
    name: str, old: torch.Tensor, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    if old.dim() == 1:
        return old, new
    width = max(old.shape[1], new.shape[1])
    return _widened(name, old, width), _widened(name, new, width)


def _widened(name: str, tensor: torch.Tensor, width: int) -> torch.Tensor:
    # Masks are 0 there, so it does not matter which token stands in it.
    missing = width - tensor.shape[1]
    return pad(tensor, (missing, 0) if name.startswith("prompt") else (0, missing))
