"""How a run starts on a node: the command line and what it adds to the environment.

Every node of a job calls this with the same job and its own number. One process is
`python -m trainer` itself; several are started by `accelerate launch`, which is torchrun with the
settings of presets/accelerate/ in the environment; the node that serves runs `vllm serve`. The run
directory must be the same on all nodes: a shared file system.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from service.errors import InvalidRequest
from service.jobs.resources import WAITING_THREADS, Resources
from service.jobs.spec import RunRequest
from service.processor import multiplies_bf16
from trainer.presets import accelerate_file

MAIN_PORT = 29_500
VLLM_PORT = 8000

_STOP_S = 600
"""Between SIGTERM and SIGKILL: a step must end and a checkpoint be written. torchrun's own: 30."""


@dataclass(frozen=True, slots=True)
class Node:
    """Where a command is to run: nodes are numbered from 0, those that train come first."""

    rank: int = 0
    main_address: str = "127.0.0.1"
    """Of node 0, as the others reach it."""
    main_port: int = MAIN_PORT


@dataclass(frozen=True, slots=True)
class Launch:
    """A command and the variables that it needs beside those that are there."""

    command: list[str]
    environment: dict[str, str]


def launch(request: RunRequest, run_dir: Path, node: Node) -> Launch:
    """What a node runs; raises InvalidRequest if the job has no such node."""
    asked = request.spec.resources
    if not 0 <= node.rank < asked.nodes:
        raise InvalidRequest(
            f"node rank {node.rank}: the job has nodes 0 to {asked.nodes - 1}", param="node_rank"
        )
    if node.rank >= asked.training_nodes:
        return _serve(request)
    trainer = ["trainer", "--run-dir", str(run_dir)]
    if asked.processes == 1:
        return Launch([sys.executable, "-m", *trainer], _environment(asked))
    command = [sys.executable, "-m", "accelerate.commands.launch", *_topology(asked, node)]
    return Launch([*command, "--module", *trainer], _environment(asked) | _several(asked))


def _topology(asked: Resources, node: Node) -> list[str]:
    return [
        f"--config_file={accelerate_file(asked.strategy)}",
        f"--num_machines={asked.training_nodes}",
        f"--num_processes={asked.processes}",
        f"--machine_rank={node.rank}",
        f"--main_process_ip={node.main_address}",
        f"--main_process_port={node.main_port}",
        *_precision(asked),
    ]


def _precision(asked: Resources) -> list[str]:
    """The presets say bf16; a processor that multiplies none takes what precision.py chooses."""
    return [] if asked.gpus_per_node or multiplies_bf16() else ["--mixed_precision=no"]


def _environment(asked: Resources) -> dict[str, str]:
    threads = max(1, asked.cpus // asked.processes_per_node)
    cpu = {} if asked.gpus_per_node else {"ACCELERATE_USE_CPU": "true"}
    return {"OMP_NUM_THREADS": str(threads)} | WAITING_THREADS | cpu


def _several(asked: Resources) -> dict[str, str]:
    stop = {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(_STOP_S)}
    # The allocator returns what a smaller batch leaves: without it, fragments fill an 80 GB GPU.
    gpu = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} if asked.gpus_per_node else {}
    return stop | gpu


def _serve(request: RunRequest) -> Launch:
    """The vLLM server as TRL 1.16 talks to it: weights come over NCCL, sampled log-probabilities
    are those after temperature."""
    asked, chosen = request.spec.resources, request.spec.hyperparameters
    port = urlsplit(asked.vllm.server_url or "").port or VLLM_PORT
    command = [
        *("vllm", "serve", str(request.base_model_path)),
        *("--host", "0.0.0.0", "--port", str(port)),  # noqa: S104 - other nodes must reach it.
        *("--dtype", "bfloat16"),
        *("--tensor-parallel-size", str(asked.vllm.tensor_parallel)),
        *("--data-parallel-size", str(asked.gpus_per_node // asked.vllm.tensor_parallel)),
        *("--gpu-memory-utilization", str(asked.vllm.memory_share)),
        *("--max-model-len", str(chosen.max_prompt_tokens + chosen.max_completion_tokens)),
        *("--weight-transfer-config", json.dumps({"backend": "nccl"})),
        *("--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"),
    ]
    return Launch(command, {"VLLM_SERVER_DEV_MODE": "1"})
