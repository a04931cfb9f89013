"""A group of completions as one row of tokens, so that its prompt is read once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Packed:
    """One row `prompt, completion 1, completion 2, ...` of L tokens; T of them are completions'."""

    tokens: torch.Tensor
    """(1, L), token ids."""
    positions: torch.Tensor
    """(1, L): every completion goes on where the prompt ended."""
    segments: torch.Tensor
    """(L,): 0 in the prompt, else the completion's number from 1."""
    predictors: torch.Tensor
    """(T,): the place in the row that predicts each completion token."""
    targets: torch.Tensor
    """(T,): those tokens, completion after completion."""

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """(1, 1, L, L), query by key, to be added to the scores of attention.

        A token sees the prompt and its own completion up to itself. What is hidden has the dtype's
        largest negative number, as in transformers' own masks.
        """
        query, key = self.segments[:, None], self.segments[None, :]
        seen = ((key == 0) | (key == query)).tril_()
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]


def pack(prompt: Tokens, completions: Sequence[Tokens], device: torch.device) -> Packed:
    """The row of a group. The prompt must not be empty; a completion may be."""
    tokens, positions, segments = list(prompt), list(range(len(prompt))), [0] * len(prompt)
    predictors: list[int] = []
    for number, completion in enumerate(completions, start=1):
        # A completion's first token is predicted by the prompt's last.
        places = range(len(tokens), len(tokens) + len(completion))
        predictors += [len(prompt) - 1, *places][: len(completion)]
        positions += range(len(prompt), len(prompt) + len(completion))
        segments += [number] * len(completion)
        tokens += completion
    return Packed(
        tokens=torch.tensor([tokens], device=device),
        positions=torch.tensor([positions], device=device),
        segments=torch.tensor(segments, device=device),
        predictors=torch.tensor(predictors, dtype=torch.long, device=device),
        targets=torch.tensor(tokens[len(prompt) :], dtype=torch.long, device=device),
    )
