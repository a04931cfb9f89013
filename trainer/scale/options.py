"""What a job's resources mean for TRL: the keyword arguments of GRPOConfig that scale adds."""

from typing import Any

from service.errors import UnsupportedValue
from service.jobs.spec import JobSpec

_COLLECTIVE_TIMEOUT_S = 7200
"""Ranks wait for the slowest: while one loads 32B of weights, or the server writes completions."""


def scale_options(spec: JobSpec) -> dict[str, Any]:
    """Keyword arguments for GRPOConfig, beside those of the algorithm; no key is both.

    Raises UnsupportedValue for what cannot work: split weights without an engine, and an adapter
    under fsdp2, which TRL 1.16 would have to merge while the weights are split; refills by several
    processes.
    """
    _check(spec)
    return _processes(spec) | _vllm(spec)


def completions_per_process(spec: JobSpec) -> int:
    """Completions that each training process samples and scores in a step: whole groups."""
    chosen = spec.hyperparameters
    return chosen.prompts_per_step * chosen.group_size // spec.resources.processes


def _check(spec: JobSpec) -> None:
    asked, rank = spec.resources, spec.hyperparameters.lora_rank
    if asked.processes > 1 and spec.hyperparameters.refills:
        raise UnsupportedValue(
            f"refills={spec.hyperparameters.refills} with {asked.processes} training processes: "
            "each would ask anew a different number of times, and the others would wait; use 0",
            param="hyperparameters.refills",
        )
    if asked.strategy not in ("fsdp2", "zero3"):
        return
    if asked.vllm.mode == "off":
        raise UnsupportedValue(
            f"sharding={asked.strategy} with vllm.mode=off: ranks that hold parts of the weights "
            "cannot sample at their own pace; use ddp, or an engine (colocate, server)",
            param="resources.vllm.mode",
        )
    if asked.strategy == "fsdp2" and rank:
        raise UnsupportedValue(
            f"lora_rank={rank} with sharding=fsdp2: an adapter cannot be merged into split weights "
            "for the vLLM engine; use sharding=ddp or zero3, or lora_rank=0",
            param="resources.sharding",
        )


def _processes(spec: JobSpec) -> dict[str, Any]:
    if spec.resources.processes == 1:
        return {}
    return {
        # The reentrant kind breaks the hooks by which FSDP and DDP gather and reduce.
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "ddp_find_unused_parameters": False,
        "ddp_timeout": _COLLECTIVE_TIMEOUT_S,
    }


def _vllm(spec: JobSpec) -> dict[str, Any]:
    asked, chosen = spec.resources.vllm, spec.hyperparameters
    if asked.mode == "off":
        return {"use_vllm": False}
    common = {"use_vllm": True, "vllm_mode": asked.mode}
    if asked.mode == "server":
        return common | {
            "vllm_server_base_url": asked.server_url,
            "vllm_server_timeout": asked.server_timeout_s,
        }
    return common | {
        "vllm_gpu_memory_utilization": asked.memory_share,
        "vllm_tensor_parallel_size": asked.tensor_parallel,
        "vllm_enable_sleep_mode": asked.sleep,
        "vllm_max_model_length": chosen.max_prompt_tokens + chosen.max_completion_tokens,
    }
