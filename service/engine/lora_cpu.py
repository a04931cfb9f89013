"""A plugin for vLLM's CPU build: its LoRA products made right, and fast.

vLLM 0.32's own (`vllm/lora/ops/torch_ops/lora_ops.py`) copy an adapter's matrices once for every
token, and take -1, which marks tokens of the base model, as an index: a request to the base that
shares a step with one to an adapter gets the last slot's adapter added. Here each run of tokens of
one adapter is one matrix product, and runs of the base are left alone. The GPU's kernels need none
of this.

Stands alone: it is copied to a folder that the server finds plugins in (lora_plugin.py).
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any


def register() -> None:
    """vLLM calls this in each of its processes (entry point `vllm.general_plugins`)."""
    punica_cpu: Any = import_module("vllm.lora.punica_wrapper.punica_cpu")
    punica_cpu.sgmv_shrink = shrink
    punica_cpu.sgmv_expand = expand
    punica_cpu.sgmv_expand_slice = expand_slice


def shrink(
    inputs: Any,
    weights: Any,
    out: Any,
    _starts: Any,
    lengths: Any,
    adapters: Any,
    _batches: int,
    _longest: int,
    _tokens: int,
    scaling: float,
) -> None:
    """out = scaling * inputs @ A^T, 0 for the base: [tokens, in] to [tokens, rank]."""
    out.zero_()
    for rows, adapter in _runs(lengths, adapters):
        a = _matrix(weights, adapter).to(out.dtype)  # float32, as vLLM's own
        out[rows, : a.shape[0]] = (inputs[rows].to(a.dtype) @ a.T) * scaling


def expand(
    inputs: Any,
    weights: Any,
    out: Any,
    starts: Any,
    lengths: Any,
    adapters: Any,
    batches: int,
    longest: int,
    tokens: int,
    add_inputs: bool = False,
) -> None:
    """out (+)= inputs @ B^T: [tokens, rank] to [tokens, out]."""
    width = out.shape[1]
    expand_slice(
        inputs, weights, out, starts, lengths, adapters, batches, longest, tokens, 0, width,
        add_inputs,
    )  # fmt: skip


def expand_slice(
    inputs: Any,
    weights: Any,
    out: Any,
    _starts: Any,
    lengths: Any,
    adapters: Any,
    _batches: int,
    _longest: int,
    _tokens: int,
    offset: int,
    width: int,
    add_inputs: bool = False,
) -> None:
    """The same for `width` columns of `out` from `offset` on."""
    if not add_inputs:
        out[:, offset : offset + width] = 0
    for rows, adapter in _runs(lengths, adapters):
        b = _matrix(weights, adapter)
        columns = slice(offset, offset + min(width, b.shape[0]))
        made = inputs[rows].to(b.dtype) @ b[: columns.stop - offset].T
        out[rows, columns] += made.to(out.dtype)


def _runs(lengths: Any, adapters: Any) -> Iterator[tuple[slice, int]]:
    """The tokens that belong together, and their adapter's slot; those of the base left out."""
    start = 0
    for length, adapter in zip(lengths.tolist(), adapters.tolist(), strict=True):
        if adapter >= 0:
            yield slice(start, start + length), adapter
        start += length


def _matrix(weights: Any, adapter: int) -> Any:
    """[rows, columns] of one slot; vLLM keeps [slots, 1, rows, columns]."""
    return weights[adapter].reshape(weights.shape[-2:])
