"""Who draws the completions of a GRPO step faster on this machine: the trainer itself, or vLLM.

    python -m bench.rollouts --model qwen2.5-coder-0.5b-instruct --rounds 3 --results DIR

Three contenders, in turn, A B C A B C, each with the same prompts; no prompt is used twice.

trainer       trainer/shared_prompt: the model with its adapter beside the weights, as it trains
vllm          a server with the flags of `make serve`, on the base weights: what an adapter that
              is merged costs
vllm_adapter  the same server with the adapter beside the weights

Every completion is as long as allowed (no token ends it), at temperature 1, so that all do the same
work. Not counted is what a step costs vLLM beyond that: to merge the adapter, write the weights and
load them again.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bench import figures
from bench.grpo_step import Size, distinct_prompts
from service.engine.process import spawn
from service.engine.vllm import AdapterRoom, VllmOptions, installed_build
from service.models.registry import ServedModel, resolve_model
from service.settings import load_settings
from trainer.model import load_tokenizer
from trainer.shared_prompt.sampler import sample_groups

_KV_BYTES = 2**31
_ADAPTER = "adapter"

Prompts = Sequence[list[int]]
Draw = Callable[[Prompts], Awaitable[int]]
"""Draws a group for each prompt, and says how many tokens they have."""


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--prompt-tokens", type=int, default=400)
    parser.add_argument("--group-size", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--lora-rank", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    facts = figures.machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    model = resolve_model(given.model, load_settings().models_path, print)
    size = Size(given.prompts, given.prompt_tokens, given.group_size, given.max_tokens)
    found = asyncio.run(_measure(model, size, given.lora_rank, given.rounds))
    figures.report(given.results, f"rollouts_{given.model}", _figures(found), facts)


async def _measure(
    model: ServedModel, size: Size, rank: int, rounds: int
) -> dict[str, list[float]]:
    tokenizer = load_tokenizer(model.path)
    policy = _policy(model.path, rank)
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="verisql-bench-")))
        policy.save_pretrained(scratch / _ADAPTER)
        contenders: dict[str, Draw] = {
            "trainer": _trainer(policy, size),
            "vllm": await stack.enter_async_context(_server(model, size, scratch, None)),
            "vllm_adapter": await stack.enter_async_context(_server(model, size, scratch, rank)),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(rounds + 1):  # The first warms up: vLLM's first sampling takes long.
            prompts = distinct_prompts(tokenizer, size, number)
            for name, draw in contenders.items():
                took_s = await _timed(draw, prompts, size)
                print(f"round {number}: {name}: {took_s:.1f} s", flush=True)
                found[name] += [took_s] if number else []
    return found


async def _timed(draw: Draw, prompts: Prompts, size: Size) -> float:
    start = time.perf_counter()
    tokens = await draw(prompts)
    took_s = time.perf_counter() - start
    expected = size.prompts * size.group_size * size.max_tokens
    if tokens != expected:
        raise SystemExit(f"{tokens} tokens were drawn in the place of {expected}")
    return took_s


def _policy(folder: Path, rank: int) -> Any:
    """The model as it trains: bf16, an adapter that changes a little."""
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager", local_files_only=True
    )
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    policy = get_peft_model(model, lora, autocast_adapter_dtype=True)
    with torch.no_grad():
        for name, weights in policy.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=1e-4)
    return policy


def _trainer(policy: Any, size: Size) -> Draw:
    async def draw(prompts: Prompts) -> int:
        groups = sample_groups(
            policy,
            prompts,
            group_size=size.group_size,
            max_tokens=size.max_tokens,
            temperature=1.0,
            stops=(),
        )
        return sum(len(one.tokens) for group in groups for one in group)

    return draw


@asynccontextmanager
async def _server(
    model: ServedModel, size: Size, scratch: Path, rank: int | None
) -> AsyncIterator[Draw]:
    options = VllmOptions(
        build=installed_build(),
        max_model_len=size.prompt_tokens + size.max_tokens + 1,
        kv_cache_bytes=_KV_BYTES,
        cache_dir=scratch / "cache",
        cpus=tuple(sorted(os.sched_getaffinity(0))),
        room=AdapterRoom(1, rank) if rank else None,
    )
    server = await spawn(sys.executable, options, model, scratch / f"vllm-{rank}.log")
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=900) as http:
            while not await _answers(http):
                server.check()
                await asyncio.sleep(1)
            if rank:
                named = {"lora_name": _ADAPTER, "lora_path": str(scratch / _ADAPTER)}
                (await http.post("/v1/load_lora_adapter", json=named)).raise_for_status()
            yield _vllm(http, _ADAPTER if rank else model.name, size)
    finally:
        await server.end()


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _vllm(http: httpx.AsyncClient, name: str, size: Size) -> Draw:
    async def one(prompt: list[int]) -> int:
        asked = {
            "model": name,
            "prompt": prompt,
            "n": size.group_size,
            "max_tokens": size.max_tokens,
            "temperature": 1.0,
            "ignore_eos": True,
        }
        answer = await http.post("/v1/completions", json=asked)
        answer.raise_for_status()
        return int(answer.json()["usage"]["completion_tokens"])

    async def draw(prompts: Prompts) -> int:
        return sum(await asyncio.gather(*map(one, prompts)))

    return draw


def _figures(found: dict[str, list[float]]) -> dict[str, Any]:
    """Seconds of each, and how many times as long as the trainer each took, round by round."""
    told: dict[str, Any] = {}
    for name, seconds in found.items():
        pairs = zip(seconds, found["trainer"], strict=True)
        ratio = figures.spread([took / trainer for took, trainer in pairs])
        told[name] = {"seconds": figures.spread(seconds), "times_trainer": ratio}
        print(f"{name}: {figures.shown(told[name]['seconds'])} s, {figures.shown(ratio)} times")
    return told


if __name__ == "__main__":
    main()
