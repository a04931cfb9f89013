"""A whole optimiser step of GRPO: ours, with shared prompts, against stock TRL, in one run.

    python -m bench.grpo_step --model smollm2-135m-instruct --prompts 2 --rounds 3 --results DIR

Three contenders, in turn, A B C A B C; each step has a fresh trainer on the same weights.

stock    TRL's GRPOTrainer as it comes: fp32 weights under bf16 autocast, sdpa attention, gradient
         checkpointing
best     the same with the settings that we found fastest on a CPU: bf16 weights, eager attention,
         no checkpointing
ours     trainer/grpo/trainer.py's overrides with the settings of `best`

A step is sampling, a reward that costs nothing, and one update of a LoRA adapter of rank 16. Every
completion is as long as allowed (no token ends it), so that all do the same work. Of each group the
first completion earns 0, the last 1, the others 0 or 1 by a checksum of their text: every group has
advantages, as ours would skip one without.
`sampling` is generation; `update` is the forward passes of the loss and its gradients; `step` is
all, with the optimiser. What ours does once a run, to try the model, is not counted. CPU seconds
are this process's, all threads.
"""

import argparse
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from peft import LoraConfig
from transformers import AutoModelForCausalLM, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from bench import figures
from service.models.registry import resolve_model
from service.settings import load_settings
from trainer.grpo.trainer import Grpo
from trainer.model import load_tokenizer
from trainer.shared_prompt.sampler import sample_groups
from trainer.shared_prompt.scores import score_group

_SCHEMA = """CREATE TABLE shop_{n} (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT, opened DATE, manager_id INTEGER
        REFERENCES staff_{n} (id));
CREATE TABLE staff_{n} (id INTEGER PRIMARY KEY, name TEXT, salary REAL, hired DATE);
"""


@dataclass(slots=True)
class Clock:
    """Seconds of wall clock and CPU by part of a step."""

    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what happens inside to `part`."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall[part] = self.wall.get(part, 0) + time.perf_counter() - wall
            self.cpu[part] = self.cpu.get(part, 0) + time.process_time() - cpu


class Timed:
    """Put before a trainer: parts of its step are measured."""

    clock: Clock

    def _generate_single_turn(self, *args: Any, **options: Any) -> Any:
        with self.clock.measure("sampling"):
            return super()._generate_single_turn(*args, **options)  # type: ignore[misc]

    def _prepare_inputs(self, *args: Any, **options: Any) -> Any:
        with self.clock.measure("prepare"):
            return super()._prepare_inputs(*args, **options)  # type: ignore[misc]

    def training_step(self, *args: Any, **options: Any) -> Any:
        with self.clock.measure("passes"):
            return super().training_step(*args, **options)  # type: ignore[misc]


class Stock(Timed, GRPOTrainer):
    """TRL's."""


class Ours(Timed, Grpo):
    """The overrides alone: no checkpoints, no run directory."""

    def __init__(self, **given: Any) -> None:
        GRPOTrainer.__init__(self, **given)
        self.eos_token_ids = [-1]  # No token ends a completion.


class Step(TrainerCallback):
    """Measures a step from its first pass to after the optimiser."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._measure = self._clock.measure("step")
        self._measure.__enter__()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._measure.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Size:
    """Of a step."""

    prompts: int
    prompt_tokens: int
    group_size: int
    max_tokens: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--prompt-tokens", type=int, default=400)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contenders", nargs="+", default=["stock", "best", "ours"])
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    facts = figures.machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    folder = resolve_model(given.model, load_settings().models_path, print).path
    size = Size(given.prompts, given.prompt_tokens, given.group_size, given.max_tokens)
    found: dict[str, list[Clock]] = {name: [] for name in given.contenders}
    for number in range(given.rounds):
        for name, rounds in found.items():
            rounds.append(one_step(name, folder, size))
            print(f"round {number + 1}: {name}: {_line(rounds[-1])}", flush=True)
    figures.report(given.results, f"grpo_step_{given.model}", _figures(found), facts)


def one_step(name: str, folder: Path, size: Size) -> Clock:
    """The seconds of one step of a contender, on fresh weights."""
    clock = Clock()
    kind = Ours if name == "ours" else Stock
    tokenizer = load_tokenizer(folder)
    with TemporaryDirectory(prefix="verisql-bench-") as scratch:
        trainer = kind(
            model=_model(folder, plain=name == "stock"),
            reward_funcs=_reward_of(size.group_size),
            args=_config(name, size, scratch),
            train_dataset=Dataset.from_dict({"prompt": _prompts(tokenizer, size)}),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
            callbacks=[Step(clock)],
        )
        if name == "ours":
            _first_use(trainer.model)
        trainer.clock = clock
        trainer.train()
    for times in (clock.wall, clock.cpu):
        times["update"] = times.pop("passes") - times.pop("prepare")
    return clock


def _first_use(model: Any) -> None:
    """What a run does once, not once a step: the model is tried (shared_prompt/support.py)."""
    sample_groups(model, [[1, 2]], group_size=1, max_tokens=1, temperature=0, stops=())
    with torch.no_grad():
        score_group(model, [1, 2], [[3]])


def _model(folder: Path, *, plain: bool) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32 if plain else torch.bfloat16,
        attn_implementation="sdpa" if plain else "eager",
        local_files_only=True,
    )


def _config(name: str, size: Size, scratch: str) -> GRPOConfig:
    # TRL's own generation needs to be told that no token may end a completion.
    forced = {} if name == "ours" else {"min_new_tokens": size.max_tokens}
    return GRPOConfig(
        output_dir=scratch,
        use_cpu=True,
        bf16=True,
        gradient_checkpointing=name == "stock",
        num_generations=size.group_size,
        per_device_train_batch_size=size.group_size,
        gradient_accumulation_steps=size.prompts,
        max_completion_length=size.max_tokens,
        generation_kwargs=forced,
        max_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
    )


def _reward_of(group_size: int) -> Callable[..., list[float | None]]:
    def reward(completions: Sequence[str], **_: Any) -> list[float | None]:
        return [*rewards(group_size, completions)]

    return reward


def rewards(group_size: int, completions: Sequence[str]) -> Iterator[float]:
    """0 or 1 for each, and both in every group of two or more."""
    for n, text in enumerate(completions):
        place = n % group_size
        between = 0 < place < group_size - 1
        yield float(zlib.crc32(text.encode()) % 2 if between else place > 0)


def distinct_prompts(tokenizer: Any, size: Size, number: int = 0) -> list[list[int]]:
    """Token ids of schemas, each cut to the wanted number; others for every other `number`."""
    found = []
    for place in range(number * size.prompts, (number + 1) * size.prompts):
        schema = "".join(
            _SCHEMA.format(n=place * 100 + n) for n in range(1 + size.prompt_tokens // 20)
        )
        found.append(tokenizer(schema)["input_ids"][: size.prompt_tokens])
    return found


def _prompts(tokenizer: Any, size: Size) -> list[str]:
    return [tokenizer.decode(ids) for ids in distinct_prompts(tokenizer, size)]


def _line(clock: Clock) -> str:
    return ", ".join(
        f"{part} {clock.wall[part]:.1f} s ({clock.cpu[part]:.1f} s of CPU)"
        for part in ("sampling", "update", "step")
    )


def _figures(found: dict[str, list[Clock]]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for part in ("sampling", "update", "step"):
        for unit, of in _UNITS.items():
            for name, rounds in found.items():
                shown[f"{name}_{part}_{unit}_s"] = figures.spread([of(c)[part] for c in rounds])
            for name in found.keys() - {"ours"} if "ours" in found else ():
                pairs = zip(found[name], found["ours"], strict=True)
                ratios = [of(theirs)[part] / of(ours)[part] for theirs, ours in pairs]
                shown[f"{part}_times_faster_than_{name}_{unit}"] = figures.spread(ratios)
    for label, value in shown.items():
        print(f"{label}: {figures.shown(value)}")
    return shown


_UNITS: dict[str, Callable[[Clock], dict[str, float]]] = {
    "wall": lambda clock: clock.wall,
    "cpu": lambda clock: clock.cpu,
}


if __name__ == "__main__":
    main()
