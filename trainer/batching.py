"""How a step is cut into passes, forward and backward; the result does not depend on it."""

from dataclasses import dataclass

_SHARE = 0.6
_BYTES_PER_SCORE = 6
"""Eager attention keeps a bf16 and an fp32 number for each pair of positions, head and layer."""
_BYTES_PER_UNIT = 28
"""Kept for the backward pass per token, layer and unit of hidden plus intermediate size, with LoRA
on every linear layer: fitted to the peak memory of a 135M Llama at 464 and 1,064 tokens. In fp32
throughout (precision.py) it is as much: 1.10 and 3.71 GB were measured, 1.17 and 3.72 estimated."""


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
    """Compute activations twice instead of keeping them, since one group's would not fit."""


def plan(
    prompts: int, group_size: int, longest: int, shape: Shape, memory_bytes: float, *, on_cpu: bool
) -> Batching:
    """One group is one pass: it shares its prompt. `longest` is a whole group in tokens.

    A CPU pass may use 60 % of the memory for activations, the rest is for weights, optimizer and
    generation.
    """
    tight = on_cpu and activation_bytes(longest, shape) > memory_bytes * _SHARE
    return Batching(group_size, prompts, checkpoint_activations=tight or not on_cpu)


def activation_bytes(tokens: int, shape: Shape) -> float:
    """Estimate of what one sequence keeps for its backward pass, without checkpointing."""
    scores = _BYTES_PER_SCORE * shape.heads * tokens**2
    units = _BYTES_PER_UNIT * (shape.hidden + shape.intermediate) * tokens
    return float(shape.layers * (scores + units))
