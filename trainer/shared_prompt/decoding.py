"""Attention while completions are written: a prompt's keys are kept once for its whole group."""

import torch
from torch.nn.functional import pad

from trainer.shared_prompt.reading import KeysValues
from trainer.shared_prompt.slots import Slots

_ROOM = 64
"""Own keys and values get room for so many more tokens at a time."""


class Decoding:
    """Keys and values of prompts and completions. One row is one completion.

    Rows of a group are neighbours; at first every group has `group_size` of them.
    """

    def __init__(self, prompts: list[KeysValues], lengths: torch.Tensor, group_size: int) -> None:
        """`prompts`: each layer's (prompts, KV heads, longest, head size); `lengths` (prompts,)."""
        self._prompts = prompts
        self._lengths = lengths
        self._written = 0
        rows = len(lengths) * group_size
        self._own = [(_empty(rows, key), _empty(rows, value)) for key, value in prompts]
        self._place(torch.arange(rows, device=lengths.device) // group_size)

    @property
    def rows(self) -> int:
        """Completions that are being written."""
        return len(self._group)

    def next_positions(self) -> torch.Tensor:
        """(rows,): the position of the token that is read next; call it once a token."""
        self._written += 1
        return self._lengths[self._group] + self._written - 1

    def keep(self, kept: torch.Tensor) -> None:
        """Drop the rows where `kept` (rows,) is False, and the prompts that none is left of."""
        self._own = [(k[kept], v[kept]) for k, v in self._own]
        left, group = torch.unique(self._group[kept], return_inverse=True)
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
        *,
        scaling: float,
        dropout: float = 0.0,
    ) -> torch.Tensor:
        """Each row's one query against its prompt and its own earlier tokens; no dropout."""
        own_key, own_value = self._with(layer, key, value)
        prompt_key, prompt_value = self._prompts[layer]
        rows, heads, _, size = query.shape
        query = query.view(rows, key.shape[1], heads // key.shape[1], size) * scaling
        far = self._slots.spread(query) @ prompt_key.transpose(2, 3) + self._mask
        near = query @ own_key.transpose(2, 3)
        scores = torch.cat([self._slots.gathered(far), near], -1)
        weights = scores.softmax(-1, dtype=torch.float32).to(query.dtype)
        far, near = weights[..., : far.shape[-1]], weights[..., far.shape[-1] :]
        out = self._slots.gathered(self._slots.spread(far) @ prompt_value) + near @ own_value
        return out.reshape(rows, 1, heads, size)

    def _with(self, layer: int, key: torch.Tensor, value: torch.Tensor) -> KeysValues:
        """The rows' own keys and values with those of the token that is read now."""
        now = self._written
        if now > self._own[layer][0].shape[2]:
            own_key, own_value = (pad(x, (0, 0, 0, _ROOM)) for x in self._own[layer])
            self._own[layer] = own_key, own_value
        own_key, own_value = self._own[layer]
        own_key[:, :, now - 1] = key[:, :, 0]
        own_value[:, :, now - 1] = value[:, :, 0]
        return own_key[:, :, :now], own_value[:, :, :now]

    def _place(self, group: torch.Tensor) -> None:
        self._group = group
        self._slots = Slots(group)
        key = self._prompts[0][0]
        hidden = torch.arange(key.shape[2], device=group.device) >= self._lengths[:, None]
        mask = torch.zeros(hidden.shape, dtype=key.dtype, device=group.device)
        self._mask = mask.masked_fill_(hidden, torch.finfo(key.dtype).min)[:, None, None]


def _empty(rows: int, like: torch.Tensor) -> torch.Tensor:
    return like.new_empty(rows, like.shape[1], 0, like.shape[3])
