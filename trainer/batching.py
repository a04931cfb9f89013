"""How many sequences go through one forward and backward pass; the result does not depend on it."""

from dataclasses import dataclass

_CPU_TOKENS = 1024
"""In one pass on a CPU: as fast as larger ones, and a signal is answered between passes."""
_GPU_TOKENS = 16_384
_SHARE = 0.6
_BYTES_PER_SCORE = 6
"""Eager attention keeps a bf16 and an fp32 number for each pair of positions, head and layer."""
_BYTES_PER_UNIT = 28
"""Kept for the backward pass per token, layer and unit of hidden plus intermediate size, with LoRA
on every linear layer: fitted to the peak memory of a 135M Llama at 464 and 1,064 tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder that its memory depends on."""

    layers: int
    heads: int
    hidden: int
    intermediate: int


@dataclass(frozen=True, slots=True)
class Batching:
    """`passes * sequences_per_pass` is the step's number of completions."""

    sequences_per_pass: int
    passes: int
    checkpoint_activations: bool
    """Compute activations twice instead of keeping them, since one sequence's would not fit."""


def plan(
    completions: int, longest: int, shape: Shape, memory_bytes: float, *, on_cpu: bool
) -> Batching:
    """Cut a step into passes; `longest` is prompt plus completion in tokens.

    A CPU pass may use 60 % of the memory for activations, the rest is for weights, optimizer and
    generation.
    """
    tokens = _CPU_TOKENS if on_cpu else _GPU_TOKENS
    size = _largest_divisor(completions, max(1, tokens // longest))
    tight = on_cpu and activation_bytes(longest, shape) * size > memory_bytes * _SHARE
    return Batching(size, completions // size, checkpoint_activations=tight or not on_cpu)


def activation_bytes(tokens: int, shape: Shape) -> float:
    """Estimate of what one sequence keeps for its backward pass, without checkpointing."""
    scores = _BYTES_PER_SCORE * shape.heads * tokens**2
    units = _BYTES_PER_UNIT * (shape.hidden + shape.intermediate) * tokens
    return float(shape.layers * (scores + units))


def _largest_divisor(number: int, at_most: int) -> int:
    return next(n for n in range(min(number, at_most), 0, -1) if number % n == 0)
