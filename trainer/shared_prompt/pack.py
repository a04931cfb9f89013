"""A group of completions as one row of tokens, so that its prompt is read once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Tokens = Sequence[int]


@dataclass(frozen=True, slots=True)
class Packed:
    """One row `prompt, completion 1, completion 2, ...` of L tokens; T of them are completions'."""

    tokens: torch.Tensor
    """(1, L), token ids."""
    positions: torch.Tensor
    """(1, L): every completion goes on where the prompt ended."""
    visible: torch.Tensor
    """(1, 1, L, L), True where the query (third axis) sees the key (fourth): a token sees the
    prompt and its own completion up to itself."""
    predictors: torch.Tensor
    """(T,): the place in the row that predicts each completion token."""
    targets: torch.Tensor
    """(T,): those tokens, completion after completion."""


def pack(prompt: Tokens, completions: Sequence[Tokens], device: Any = "cpu") -> Packed:
    """The row of a group; the prompt must not be empty."""
    tokens, positions, segments, predictors = list(prompt), list(range(len(prompt))), [], []
    segments += [0] * len(prompt)
    for number, completion in enumerate(completions, start=1):
        # A completion's first token is predicted by the prompt's last.
        places = range(len(tokens), len(tokens) + len(completion) - 1)
        predictors += [len(prompt) - 1, *places]
        positions += range(len(prompt), len(prompt) + len(completion))
        segments += [number] * len(completion)
        tokens += completion
    return Packed(
        tokens=torch.tensor([tokens], device=device),
        positions=torch.tensor([positions], device=device),
        visible=_visible(torch.tensor(segments, device=device)),
        predictors=torch.tensor(predictors, device=device),
        targets=torch.tensor([t for c in completions for t in c], device=device),
    )


def _visible(segments: torch.Tensor) -> torch.Tensor:
    query, key = segments[:, None], segments[None, :]
    length = len(segments)
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    return (((key == 0) | (key == query)) & causal)[None, None]
