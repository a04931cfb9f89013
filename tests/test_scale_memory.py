"""The memory plan: its numbers by hand, against a real pass, and as the documentation has them."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from service.jobs.spec import JobSpec
from trainer import presets
from trainer.scale.decoder import Decoder
from trainer.scale.memory import main, memory_plan, preset_plan, table

DOCS = Path(__file__).parents[1] / "docs" / "training" / "scale.md"
SMALL = Decoder(
    vocabulary=3000, hidden=256, intermediate=1024, layers=2, heads=4, kv_heads=2, tied=True
)
TOLERANCE = 0.2


def small_job(rank: int, memory_gb: float) -> JobSpec:
    """A machine of 1 MB has to compute activations again, one of 8 GB keeps them."""
    return JobSpec.model_validate(
        {
            "base_model": "m",
            "train_data": "demo",
            "hyperparameters": {
                "lora_rank": rank,
                "group_size": 4,
                "max_prompt_tokens": 256,
                "max_completion_tokens": 64,
            },
            "resources": {"memory_gb": memory_gb},
        }
    )


def measured(job: JobSpec, *, recompute: bool) -> float:
    """Bytes that one forward and backward pass of a group adds at its worst moment."""
    import torch
    from peft import get_peft_model
    from torch.profiler import ProfilerActivity, profile
    from transformers import AutoModelForCausalLM, Qwen2Config

    from trainer.model import lora_config
    from trainer.shared_prompt.scores import score_group

    chosen = job.hyperparameters
    config = Qwen2Config(
        vocab_size=SMALL.vocabulary,
        hidden_size=SMALL.hidden,
        intermediate_size=SMALL.intermediate,
        num_hidden_layers=SMALL.layers,
        num_attention_heads=SMALL.heads,
        num_key_value_heads=SMALL.kv_heads,
        tie_word_embeddings=SMALL.tied,
    )
    dtype = torch.bfloat16 if chosen.lora_rank else torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager")
    if chosen.lora_rank:
        model = get_peft_model(model, lora_config(chosen))
        model.enable_input_require_grads()
    if recompute:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    prompt, completions = [1] * 256, [[2] * 64] * chosen.group_size

    def one_pass() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logps, _ = score_group(model, prompt, completions)
        logps.sum().backward()

    one_pass()  # From here on gradients are there.
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        one_pass()
    now = most = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize("rank", [16, 0])
@pytest.mark.parametrize("recompute", [True, False])
def test_the_estimate_of_a_pass_is_near_what_it_takes(rank: int, recompute: bool) -> None:
    job = small_job(rank, 0.001 if recompute else 8)
    found = memory_plan(job, SMALL)
    expected = found.update - found.total("always")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = measured(job, recompute=recompute)
    assert expected == pytest.approx(taken, rel=TOLERANCE)


def lines(name: str) -> dict[str, float]:
    return {line.name: line.bytes for line in preset_plan(name).lines}


def test_a_trained_weight_of_32b_costs_16_bytes_split_over_24_gpus() -> None:
    found = lines("cluster-32b")
    parts = [found[f"trained {part}, fp32"] for part in ("weights", "gradients", "AdamW moments")]
    assert sum(parts) == pytest.approx(16 * 32_763_876_352 / 24)


def test_a_sleeping_engine_takes_nothing_while_gradients_are_computed() -> None:
    asleep = preset_plan("gpu-7b")
    chosen = presets.load("gpu-7b").spec(
        {"train_data": "demo", "resources": {"vllm": {"sleep": False}}}
    )
    sizes = presets.models()[chosen.base_model]["config"]
    awake = memory_plan(chosen, Decoder.of(sizes))
    assert awake.total("update") - asleep.total("update") == pytest.approx(0.45 * 80e9)
    assert awake.total("sampling") == asleep.total("sampling")


def test_ddp_splits_nothing() -> None:
    job = small_job(0, 8)
    spread = JobSpec.model_validate(
        job.model_dump() | {"resources": {"nodes": 2, "sharding": "ddp"}}
    )
    alone, both = (memory_plan(one, SMALL).total("always") for one in (job, spread))
    assert both - alone == 4 * SMALL.weights


def test_keys_and_values_of_a_32b_token_are_a_quarter_of_a_megabyte() -> None:
    sizes: Any = presets.models()["Qwen/Qwen2.5-Coder-32B-Instruct"]["config"]
    assert Decoder.of(sizes).cached_bytes == 2 * 2 * 8 * 128 * 64 == 262_144


@pytest.mark.parametrize("name", presets.names())
def test_the_documentation_shows_each_plan_as_it_is_computed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main([name])
    printed = capsys.readouterr().out
    assert printed == table(preset_plan(name)) + "\n"
    assert printed in DOCS.read_text()


VARIANTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"group_size": 8}, {"gpu_memory_gb": 48, "vllm": {"memory_share": 0.5}}),
    (
        {
            "group_size": 4,
            "prompts_per_step": 2,
            "lora_rank": 16,
            "max_prompt_tokens": 2048,
            "max_completion_tokens": 128,
        },
        {"gpu_memory_gb": 24, "vllm": {"mode": "off"}},
    ),
]


@pytest.mark.parametrize(("hyperparameters", "resources"), VARIANTS)
def test_7b_fits_smaller_gpus_as_the_documentation_says(
    hyperparameters: dict[str, Any], resources: dict[str, Any]
) -> None:
    given = {"train_data": "demo", "hyperparameters": hyperparameters, "resources": resources}
    chosen = presets.load("gpu-7b").spec(given)
    found = memory_plan(chosen, Decoder.of(presets.models()[chosen.base_model]["config"]))
    gpu_gb = chosen.resources.gpu_memory_gb
    assert gpu_gb is not None
    assert found.peak < gpu_gb * 1e9
    update, sampling = found.update / 1e9, found.total("sampling") / 1e9
    row = f"| {update:.2f} | {sampling:.2f} |"
    assert any(
        line.startswith(f"| {gpu_gb:g} GB |") and line.endswith(row)
        for line in DOCS.read_text().splitlines()
    )


def test_16_completions_a_group_leave_little_of_80_gb_with_32b() -> None:
    given = {"train_data": "demo", "hyperparameters": {"group_size": 16, "prompts_per_step": 48}}
    chosen = presets.load("cluster-32b").spec(given)
    found = memory_plan(chosen, Decoder.of(presets.models()[chosen.base_model]["config"]))
    assert found.peak / 1e9 == pytest.approx(71.4, abs=0.05)
