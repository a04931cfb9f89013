"""Attention while prompts are read, before sampling."""

from collections.abc import Sequence

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

KeysValues = tuple[torch.Tensor, torch.Tensor]


class Reading:
    """Collects the keys and values of prompts while they are read, layer by layer."""

    def __init__(self) -> None:
        self.layers: list[KeysValues] = []
        """Each (prompts, KV heads, longest, head size)."""

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
        """Plain causal attention: padding is on the right, where no real token looks."""
        self.layers.append((key, value))
        grouped = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(
            query,
            key,
            value,
            is_causal=True,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=grouped,
        )
        return out.transpose(1, 2)


def joined(parts: Sequence[Reading]) -> list[KeysValues]:
    """Layer by layer, the prompts of all parts one behind the other, as long as the longest."""
    return [_joined([part.layers[n] for part in parts]) for n in range(len(parts[0].layers))]


def _joined(parts: Sequence[KeysValues]) -> KeysValues:
    longest = max(key.shape[2] for key, _ in parts)

    def padded(x: torch.Tensor) -> torch.Tensor:
        return pad(x, (0, 0, 0, longest - x.shape[2]))

    return torch.cat([padded(k) for k, _ in parts]), torch.cat([padded(v) for _, v in parts])
