"""Completions while they are written, and how a token is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

_SHRINK = 0.9
"""Rows are moved together once fewer than this share of them is still being written."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion."""

    tokens: list[int]
    """With the token that ended it, if one did."""
    logps: list[float]
    """Of each token, in the distribution it was drawn from."""


class Drafts:
    """All completions of a call. Rows of the model's input are those not ended, and a few more."""

    def __init__(
        self, count: int, max_tokens: int, stops: Sequence[int], device: torch.device
    ) -> None:
        self._tokens = torch.zeros(count, max_tokens, dtype=torch.long, device=device)
        self._logps = torch.zeros(count, max_tokens, device=device)
        self._lengths = torch.full((count,), max_tokens, device=device)
        self._stops = torch.tensor(list(stops), dtype=torch.long, device=device)
        self._draft = torch.arange(count, device=device)
        """Which completion a row is."""
        self._ended = torch.zeros(count, dtype=torch.bool, device=device)
        self._written = 0

    def add(self, tokens: torch.Tensor, logps: torch.Tensor) -> None:
        """One more token for each row; rows that have ended keep what they have."""
        going = ~self._ended
        drafts = self._draft[going]
        self._tokens[drafts, self._written] = tokens[going]
        self._logps[drafts, self._written] = logps[going]
        self._written += 1
        stopped = torch.isin(tokens, self._stops) & going
        self._lengths[self._draft[stopped]] = self._written
        self._ended |= stopped

    @property
    def finished(self) -> bool:
        """Nothing is left to write."""
        return self._written == self._tokens.shape[1] or bool(self._ended.all())

    def drop_ended(self) -> torch.Tensor | None:
        """Forget ended rows once they are many: the rows kept (rows,), None if all are."""
        kept = ~self._ended
        if int(kept.sum()) >= _SHRINK * len(kept):
            return None
        self._draft, self._ended = self._draft[kept], self._ended[kept]
        return kept

    def completions(self) -> list[Sampled]:
        """All of them, in the order of the first rows."""
        rows = zip(self._tokens, self._logps, self._lengths.tolist(), strict=True)
        return [Sampled(tokens[:n].tolist(), logps[:n].tolist()) for tokens, logps, n in rows]


def draw(logits: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A token for each row of fp32 logits (rows, vocabulary), and its log-probability.

    One random number a row. Temperature 0 takes the most probable token and the model's own
    probability of it.
    """
    if temperature == 0:
        chosen = logits.argmax(-1, keepdim=True)
        return chosen[:, 0], (logits.gather(-1, chosen) - logits.logsumexp(-1, keepdim=True))[:, 0]
    logits = logits / temperature
    logits -= logits.amax(-1, keepdim=True)
    cumulative = logits.exp().cumsum_(-1)
    total = cumulative[:, -1:]
    # Rounding may take the product up to the total, and past it is no token.
    threshold = torch.rand_like(total) * total
    threshold = threshold.minimum(torch.nextafter(total, torch.zeros_like(total)))
    chosen = torch.searchsorted(cumulative, threshold, right=True)
    return chosen[:, 0], (logits.gather(-1, chosen) - total.log())[:, 0]
