"""Attention for a group in one row, with gradients; nothing is computed that no token sees."""

from collections.abc import Sequence

import torch
from torch.nn.functional import dropout as drop


class Scoring:
    """Three blocks in place of the whole square of a row `prompt, completion 1, completion 2, ...`.

    The prompt against itself, all completions against the prompt, and each completion against
    itself. A square would have (P + C)^2 scores of which most pairs of completions are hidden.
    """

    def __init__(self, prompt: int, completions: Sequence[int], device: torch.device) -> None:
        """Lengths in tokens, at least one of `completions` not 0."""
        lengths = torch.tensor(completions, device=device)
        longest = int(lengths.max())
        self._prompt = prompt
        self._shape = (len(completions), longest)
        there = torch.arange(longest, device=device) < lengths[:, None]
        self._slots = there.flatten().nonzero()[:, 0]
        """Where the completion tokens stand in (completions, longest)."""
        self._places = torch.zeros(there.numel(), dtype=torch.long, device=device)
        self._places[self._slots] = torch.arange(len(self._slots), device=device)
        """The way back. Padding repeats the first token: no token before it looks there."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scaling: float,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """See Attention; the row is the only one of the batch."""
        _, heads, length, size = query.shape
        kv_heads = key.shape[1]
        query = (query[0] * scaling).view(kv_heads, heads // kv_heads, length, size)
        at = self._prompt
        first = _prompt(query[:, :, :at], key[0, :, :at], value[0, :, :at], dropout)
        rest = self._completions(query[:, :, at:], key[0], value[0], dropout)
        out = torch.cat([first, rest], 2)
        return out.reshape(1, heads, length, size).transpose(1, 2)

    def _completions(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float
    ) -> torch.Tensor:
        """Query (KV heads, times, T, size); keys and values of the row (KV heads, L, size)."""
        at = self._prompt
        far = _times(query, key[:, :at].transpose(1, 2))
        near = self._padded(query) @ self._padded(key[:, None, at:]).transpose(3, 4)
        near = near + _causal(near)
        scores = torch.cat([far, self._flat(near)], -1)
        weights = _weights(scores, dropout)
        far, near = weights[..., :at], weights[..., at:]
        own = self._padded(near) @ self._padded(value[:, None, at:])
        return _times(far, value[:, :at]) + self._flat(own)

    def _padded(self, x: torch.Tensor) -> torch.Tensor:
        """(KV heads, times, T, d) to (KV heads, times, completions, longest, d)."""
        return x.index_select(2, self._places).view(*x.shape[:2], *self._shape, x.shape[3])

    def _flat(self, x: torch.Tensor) -> torch.Tensor:
        """The way back."""
        return x.flatten(2, 3).index_select(2, self._slots)


def _prompt(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, dropout: float
) -> torch.Tensor:
    scores = _times(query, key.transpose(1, 2))
    return _times(_weights(scores + _causal(scores), dropout), value)


def _times(x: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """(KV heads, times, n, d) by (KV heads, d, m), which all `times` heads of a KV head share."""
    return (x.flatten(1, 2) @ shared).view(*x.shape[:3], shared.shape[2])


def _weights(scores: torch.Tensor, dropout: float) -> torch.Tensor:
    weights = scores.softmax(-1, dtype=torch.float32).to(scores.dtype)
    return drop(weights, dropout) if dropout else weights


def _causal(scores: torch.Tensor) -> torch.Tensor:
    """What hides later tokens: the dtype's largest negative number, as in transformers' masks."""
    size = scores.shape[-1]
    return torch.full(
        (size, size), torch.finfo(scores.dtype).min, dtype=scores.dtype, device=scores.device
    ).triu_(1)
