"""Memory of one GPU (or of the CPU) for a job, line by line: python -m trainer.scale.memory PRESET

Weights, gradients and optimizer are exact: AdamW in mixed precision keeps 16 bytes a trained weight
(ZeRO, arXiv 1910.02054, section 3.1: here fp32 weight, gradient and two moments), split over the
ranks under fsdp2 and zero3. Activations follow arXiv 2205.05198: with full recomputation a block
leaves its input, 2 bytes a number (section 5, "2sbhL"), and one block at a time is computed again;
what that one needs was measured on this trainer's own forward and backward pass, since the paper's
34 bytes hold for another block (GPT: no gate, dropout). Everything is in bytes, GB is 1e9 bytes.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.jobs.spec import JobSpec
from trainer import presets
from trainer.batching import Shape, plan
from trainer.scale.decoder import Decoder

Phase = Literal["always", "update", "head", "block", "sampling", "serving"]
"""head and block are moments of the update: gradients of the logits, of a block that is computed
again. They, and sampling, take turns."""

_WITH: dict[Phase, tuple[Phase, ...]] = {
    "head": ("always", "update"),
    "block": ("always", "update"),
    "update": ("always",),
    "sampling": ("always",),
}

MASTER, GRADIENT, MOMENTS, HALF = 4, 4, 8, 2
"""Bytes a weight: fp32 weight, fp32 gradient, AdamW's two moments; bf16."""

KEPT_PER_UNIT = {True: 14, False: 19}
"""Without recomputation a block keeps so many bytes per token and unit of hidden plus intermediate
size, with an adapter (True) and with all weights trained (False)."""
BLOCK_PER_UNIT = {True: 21, False: 24}
"""At the moment of its backward pass a block needs so many."""
SCORE_BYTES = 6
"""In both cases, per pair of positions and head, where attention is eager (on a CPU)."""
LOGIT_BYTES = 20
"""Per scored token and word of the vocabulary: logits, three fp32 copies at once, gradients."""
MASK_BYTES = 3
"""Per pair of positions: who sees whom, as a number in bf16 and as a truth value."""
CUDA_BYTES = 3_000_000_000
"""Context, communication buffers, and what the allocator cannot use: an allowance, not measured."""


@dataclass(frozen=True, slots=True)
class Line:
    """One part of the memory, and how it is computed."""

    phase: Phase
    name: str
    bytes: float
    how: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All lines of one process."""

    lines: list[Line]

    def total(self, phase: Phase) -> float:
        """Bytes in a phase, with what is there at the same time."""
        wanted = (phase, *_WITH.get(phase, ()))
        return sum(line.bytes for line in self.lines if line.phase in wanted)

    @property
    def update(self) -> float:
        """Bytes of a training process at the worst moment of an update."""
        return max(self.total("head"), self.total("block"))

    @property
    def peak(self) -> float:
        """Bytes of a training process at its worst moment."""
        return max(self.update, self.total("sampling"))


def memory_plan(spec: JobSpec, decoder: Decoder) -> Plan:
    """Where a training process's memory goes; with a serving node, a GPU of that, too."""
    lines = [*_held(spec, decoder), *_update(spec, decoder), *_sampling(spec, decoder)]
    if spec.resources.vllm.nodes:
        lines += _engine(spec, decoder, "serving")
    if spec.resources.gpus_per_node:
        lines.append(Line("always", "CUDA, NCCL, fragments", CUDA_BYTES, "allowance"))
    return Plan(lines)


def _held(spec: JobSpec, decoder: Decoder) -> list[Line]:
    rank, ranks = spec.hyperparameters.lora_rank, _ranks(spec)
    trained = decoder.adapter(rank) if rank else decoder.weights
    frozen = decoder.weights if rank else 0
    lines = [Line("always", "frozen weights, bf16", HALF * frozen / ranks, f"2 x {frozen:,}")]
    parts = [("weights", MASTER), ("gradients", GRADIENT), ("AdamW moments", MOMENTS)]
    lines += [
        Line("always", f"trained {name}, fp32", size * trained / ranks, f"{size} x {trained:,}")
        for name, size in parts
    ]
    if spec.resources.strategy == "ddp":
        size = GRADIENT * trained
        lines.append(Line("always", "gradients on their way, fp32", size, f"4 x {trained:,}"))
    return [_split(line, ranks) for line in lines if line.bytes]


def _split(line: Line, ranks: int) -> Line:
    how = f"{line.how} / {ranks}" if ranks > 1 else line.how
    return Line(line.phase, line.name, line.bytes, how)


def _ranks(spec: JobSpec) -> int:
    """Over how many processes the model is split."""
    split = spec.resources.strategy in ("fsdp2", "zero3")
    return spec.resources.processes if split else 1


def _update(spec: JobSpec, decoder: Decoder) -> list[Line]:
    """The forward and backward pass of one group at its longest."""
    chosen, on_cpu = spec.hyperparameters, not spec.resources.gpus_per_node
    scored = chosen.group_size * chosen.max_completion_tokens
    tokens = chosen.max_prompt_tokens + scored
    lines = _gathered(spec, decoder)
    lines += _activations(spec, decoder, tokens, on_cpu=on_cpu)
    return [
        *lines,
        Line("update", "attention mask", MASK_BYTES * tokens**2, f"3 x {tokens:,}^2"),
        Line(
            "head",
            "logits and their gradients",
            LOGIT_BYTES * scored * decoder.vocabulary,
            f"20 x {scored:,} x {decoder.vocabulary:,}",
        ),
    ]


def _gathered(spec: JobSpec, decoder: Decoder) -> list[Line]:
    """What a rank holds whole for a moment, though it is split otherwise: two blocks (one computes,
    the next is fetched), and embedding and head from the forward pass to the end of the backward.
    """
    if _ranks(spec) == 1:
        return []
    whole = decoder.outside + 2 * decoder.block
    lines = [Line("update", "gathered weights, bf16", HALF * whole, f"2 x {whole:,}")]
    if not spec.hyperparameters.lora_rank:
        lines.append(Line("update", "gathered gradients, bf16", HALF * whole, f"2 x {whole:,}"))
    return lines


def _activations(spec: JobSpec, decoder: Decoder, tokens: int, *, on_cpu: bool) -> list[Line]:
    adapter, units = spec.hyperparameters.lora_rank > 0, decoder.hidden + decoder.intermediate
    pairs = decoder.heads * tokens**2 if on_cpu else 0
    if not _recomputes(spec, decoder, tokens, on_cpu=on_cpu):
        each = KEPT_PER_UNIT[adapter] * units * tokens + SCORE_BYTES * pairs
        how = f"{decoder.layers} x {each:,}"
        return [Line("update", "activations", decoder.layers * each, how)]
    # Without mixed-precision sharding the stream between the blocks of fp32 weights is fp32.
    size = HALF if adapter or _ranks(spec) > 1 else MASTER
    inputs = size * decoder.layers * tokens * decoder.hidden
    one = BLOCK_PER_UNIT[adapter] * units * tokens + SCORE_BYTES * pairs
    eager = f" + 6 x {decoder.heads} x {tokens:,}^2" if pairs else ""
    return [
        Line(
            "update",
            "inputs of the blocks",
            inputs,
            f"{size} x {decoder.layers} x {tokens:,} x {decoder.hidden:,}",
        ),
        Line(
            "block",
            "one block, computed again",
            one,
            f"{BLOCK_PER_UNIT[adapter]} x {tokens:,} x {units:,}{eager}",
        ),
    ]


def _recomputes(spec: JobSpec, decoder: Decoder, tokens: int, *, on_cpu: bool) -> bool:
    """What the trainer itself decides (trainer/batching.py)."""
    shape = Shape(decoder.layers, decoder.heads, decoder.hidden, decoder.intermediate)
    memory = spec.resources.memory_gb * 2**30
    return plan(1, 2, tokens, shape, memory, on_cpu=on_cpu).checkpoint_activations


def _sampling(spec: JobSpec, decoder: Decoder) -> list[Line]:
    chosen, asked = spec.hyperparameters, spec.resources
    if asked.vllm.mode == "server":
        return []
    if asked.vllm.mode == "colocate":
        lines = _engine(spec, decoder, "sampling")
        if asked.vllm.sleep:
            return lines
        return lines + [Line("update", one.name, one.bytes, one.how) for one in lines]
    prompts = chosen.prompts_per_step // asked.processes
    tokens = prompts * (chosen.max_prompt_tokens + chosen.group_size * chosen.max_completion_tokens)
    how = f"{decoder.cached_bytes:,} x {tokens:,} tokens"
    return [Line("sampling", "keys and values", decoder.cached_bytes * tokens, how)]


def _engine(spec: JobSpec, decoder: Decoder, phase: Phase) -> list[Line]:
    """vLLM takes its share of the GPU at once; what weights leave of it holds keys and values."""
    asked = spec.resources
    parallel = asked.vllm.tensor_parallel
    share = asked.vllm.memory_share * (asked.gpu_memory_gb or 0.0) * 1e9
    weights = HALF * decoder.weights / parallel
    left = share - weights
    tokens = max(0, int(left * parallel / decoder.cached_bytes))
    return [
        Line(phase, "engine: weights, bf16", weights, f"2 x {decoder.weights:,} / {parallel}"),
        Line(
            phase,
            "engine: keys and values",
            left,
            f"{asked.vllm.memory_share} x {asked.gpu_memory_gb} GB - weights: {tokens:,} tokens",
        ),
    ]


def table(found: Plan) -> str:
    """The plan as a table in Markdown, GB with two decimals; sums last."""
    rows = ["| phase | part | computed as | GB |", "|---|---|---|---:|"]
    rows += [
        f"| {line.phase} | {line.name} | {line.how} | {line.bytes / 1e9:.2f} |"
        for line in found.lines
    ]
    phases = {line.phase: None for line in found.lines if line.phase not in ("always", "update")}
    rows += [
        f"| **{phase}** | **sum** | {' + '.join((*_WITH.get(phase, ()), phase))} "
        f"| **{found.total(phase) / 1e9:.2f}** |"
        for phase in phases
    ]
    return "\n".join(rows)


def preset_plan(name: str) -> Plan:
    """The plan of a preset; raises UnsupportedValue if there is none of that name."""
    spec = presets.load(name).spec({"train_data": "demo"})
    return memory_plan(spec, Decoder.of(presets.models()[spec.base_model]["config"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a preset's table."""
    parser = argparse.ArgumentParser(prog="python -m trainer.scale.memory")
    parser.add_argument("preset", choices=presets.names())
    sys.stdout.write(table(preset_plan(parser.parse_args(arguments).preset)) + "\n")


if __name__ == "__main__":
    main()
