"""Attention for sampling: keys and values of a prompt are kept once for all its completions."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "verisql_shared_prompt"

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
        scaling: float,
    ) -> torch.Tensor:
        """Plain causal attention: padding is on the right, where no real token looks."""
        self.layers.append((key, value))
        grouped = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        return out.transpose(1, 2)


class Decoding:
    """Keys and values while completions are written: one row is one completion.

    Rows of a group are neighbours, and each group has at most `group_size` of them.
    """

    def __init__(
        self, prompts: list[KeysValues], lengths: torch.Tensor, own: list[KeysValues]
    ) -> None:
        self.group_size = 0
        self._prompts = prompts
        self._own = own
        self._lengths = lengths
        self._written = 0

    @classmethod
    def after(
        cls, read: Sequence[Reading], lengths: torch.Tensor, group_size: int, max_tokens: int
    ) -> "Decoding":
        """The state after prompts were read, shortest first, in the batches of `read`."""
        longest = int(lengths.max())
        prompts = [
            _joined([r.layers[n] for r in read], longest) for n in range(len(read[0].layers))
        ]
        rows = len(lengths) * group_size
        own = [
            tuple(x.new_zeros(rows, x.shape[1], max_tokens, x.shape[3]) for x in layer)
            for layer in prompts
        ]
        state = cls(prompts, lengths, own)  # type: ignore[arg-type]
        state.group_size = group_size
        state._place(torch.arange(rows, device=lengths.device) // group_size)
        return state

    @property
    def rows(self) -> int:
        """Completions that are being written."""
        return len(self._group)

    def next_positions(self) -> torch.Tensor:
        """(rows,): the position of the token that is read next; call it once a token."""
        self._written += 1
        return self._lengths[self._group] + self._written - 1

    def keep(self, kept: torch.Tensor) -> None:
        """Drop the rows where `kept` is False, and the prompts that none is left of."""
        self._own = [(k[kept], v[kept]) for k, v in self._own]
        group = self._group[kept]
        left, group = torch.unique(group, return_inverse=True)
        if len(left) < len(self._lengths):
            self._lengths = self._lengths[left]
            longest = int(self._lengths.max())
            self._prompts = [(k[left, :, :longest], v[left, :, :longest]) for k, v in self._prompts]
        self._place(group)

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        """Each row's one query against its prompt and its own earlier tokens."""
        own_key, own_value = self._own[layer]
        now = self._written
        own_key[:, :, now - 1] = key[:, :, 0]
        own_value[:, :, now - 1] = value[:, :, 0]
        prompt_key, prompt_value = self._prompts[layer]
        rows, heads, _, size = query.shape
        kv_heads = key.shape[1]
        query = query.view(rows, kv_heads, heads // kv_heads, size) * scaling
        far = self._gathered(self._spread(query) @ prompt_key.transpose(2, 3) + self._mask)
        near = query @ own_key[:, :, :now].transpose(2, 3)
        weights = torch.cat([far, near], -1).softmax(-1, dtype=torch.float32).to(query.dtype)
        far, near = weights[..., : far.shape[-1]], weights[..., far.shape[-1] :]
        out = self._gathered(self._spread(far) @ prompt_value) + near @ own_value[:, :, :now]
        return out.reshape(rows, 1, heads, size)

    def _place(self, group: torch.Tensor) -> None:
        """Give every row a slot of its group: slots are (groups, most rows of any group)."""
        self._group = group
        counts = torch.bincount(group)
        starts = counts.cumsum(0) - counts
        place = torch.arange(len(group), device=group.device) - starts[group]
        self._width = int(counts.max())
        self._slot = group * self._width + place
        self._full = len(group) == len(counts) * self._width
        key = self._prompts[0][0]
        hidden = torch.arange(key.shape[2], device=group.device) >= self._lengths[:, None]
        mask = torch.zeros(hidden.shape, dtype=key.dtype, device=group.device)
        self._mask = mask.masked_fill_(hidden, torch.finfo(key.dtype).min)[:, None, None]

    def _spread(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, KV heads, n, d) to (groups, KV heads, width * n, d)."""
        groups, (_, heads, n, d) = len(self._lengths), x.shape
        if not self._full:
            slots = x.new_zeros(groups * self._width, heads, n, d)
            slots[self._slot] = x
            x = slots
        return (
            x.view(groups, self._width, heads, n, d)
            .transpose(1, 2)
            .reshape(groups, heads, self._width * n, d)
        )

    def _gathered(self, x: torch.Tensor) -> torch.Tensor:
        """The way back."""
        groups, heads, wide, d = x.shape
        n = wide // self._width
        x = (
            x.view(groups, heads, self._width, n, d)
            .transpose(1, 2)
            .reshape(groups * self._width, heads, n, d)
        )
        return x if self._full else x[self._slot]


def _joined(parts: Sequence[KeysValues], longest: int) -> KeysValues:
    def padded(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(x, (0, 0, 0, longest - x.shape[2]))

    return torch.cat([padded(k) for k, _ in parts]), torch.cat([padded(v) for _, v in parts])


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    shared_prompt: Reading | Decoding,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    return shared_prompt.attend(module.layer_idx, query, key, value, scaling), None


AttentionInterface.register(NAME, _attend)
