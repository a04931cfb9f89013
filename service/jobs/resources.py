"""What a job asks of its machines: nodes, GPUs, how weights are split, where completions are made.

A run has one training process a GPU, or one a node where there is none. Nodes that serve vLLM
(`vllm.nodes`) train nothing.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from service.strict import StrictModel

Sharding = Literal["auto", "none", "ddp", "fsdp2", "zero3"]
"""auto: none for one process, ddp for several. ddp: each process holds everything. fsdp2: PyTorch's
fully_shard splits weights, gradients and optimizer over the processes. zero3: DeepSpeed does (arXiv
1910.02054)."""

WAITING_THREADS = {"GOMP_SPINCOUNT": "300000"}
"""Of a trainer: a thread that waits for the others spins for about a millisecond, then sleeps.

At once asleep (OMP_WAIT_POLICY=PASSIVE) a step took 1.6 times as long on two virtual cores
(docs/training.md); spinning for ever takes the cores from whatever else runs."""

VllmMode = Literal["off", "colocate", "server"]

Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]


class Vllm(StrictModel):
    """Who writes the completions of GRPO."""

    mode: Annotated[
        VllmMode,
        Field(
            description="off: the training process itself; colocate: an engine on each training "
            "GPU; server: `vllm serve` on GPUs of its own"
        ),
    ] = "off"
    memory_share: Annotated[
        float, Field(gt=0, lt=1, description="of each GPU that the engine may take")
    ] = 0.3
    tensor_parallel: Annotated[
        int, Field(ge=1, le=64, description="GPUs that share one copy of the weights")
    ] = 1
    sleep: Annotated[
        bool, Field(description="colocate: free the engine's memory while gradients are computed")
    ] = True
    server_url: Annotated[
        Url | None, Field(description="server: where it answers, e.g. http://rollouts:8000")
    ] = None
    server_timeout_s: Annotated[
        float, Field(gt=0, le=86_400, description="server: seconds to wait until it answers")
    ] = 1800.0
    nodes: Annotated[
        int, Field(ge=0, le=1, description="server: 1 if the job's last node is the server")
    ] = 0

    @model_validator(mode="after")
    def _has_a_server(self) -> Self:
        if self.mode == "server" and self.server_url is None:
            raise PydanticCustomError(
                "no_vllm_server",
                "vllm.mode=server needs vllm.server_url, e.g. http://rollouts:8000",
            )
        if self.mode != "server" and self.nodes:
            raise PydanticCustomError(
                "idle_nodes",
                "vllm.nodes={nodes} would be idle: only vllm.mode=server has a node of its own",
                {"nodes": self.nodes},
            )
        return self


class Resources(StrictModel):
    """What the job asks of the machines it runs on."""

    nodes: Annotated[int, Field(ge=1, le=1024)] = 1
    gpus_per_node: Annotated[int, Field(ge=0, le=16)] = 0
    gpu_memory_gb: Annotated[
        float | None, Field(gt=0, le=4096, description="of each GPU, for the memory plan")
    ] = None
    cpus: Annotated[int, Field(ge=1, le=1024)] = 2
    memory_gb: Annotated[float, Field(gt=0, le=65_536)] = 8
    sharding: Annotated[Sharding, Field(description="how several processes split the model")] = (
        "auto"
    )
    vllm: Vllm = Vllm()

    @property
    def strategy(self) -> Sharding:
        """`sharding` with auto decided."""
        if self.sharding != "auto":
            return self.sharding
        return "ddp" if self.processes > 1 else "none"

    @property
    def training_nodes(self) -> int:
        """Nodes that train."""
        return self.nodes - self.vllm.nodes

    @property
    def processes_per_node(self) -> int:
        """Training processes on each of them."""
        return max(1, self.gpus_per_node)

    @property
    def processes(self) -> int:
        """Training processes of the run; ranks are numbered from 0 to one less."""
        return self.training_nodes * self.processes_per_node

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.training_nodes < 1:
            raise PydanticCustomError(
                "no_training_node",
                "all {nodes} nodes would serve vLLM: none is left to train",
                {"nodes": self.nodes},
            )
        if (self.processes > 1) != (self.strategy != "none"):
            raise PydanticCustomError(
                "sharding_mismatch",
                "sharding={sharding} does not go with {processes} training processes: one process "
                "takes none, several take ddp, fsdp2 or zero3",
                {"sharding": self.sharding, "processes": self.processes},
            )
        _check_vllm(self)
        return self


def _check_vllm(asked: Resources) -> None:
    mode, parallel = asked.vllm.mode, asked.vllm.tensor_parallel
    if mode != "off" and asked.gpus_per_node == 0:
        raise PydanticCustomError(
            "vllm_without_gpu",
            "vllm.mode={mode} needs GPUs, and gpus_per_node is 0: use off",
            {"mode": mode},
        )
    if mode == "colocate" and asked.processes % parallel:
        raise PydanticCustomError(
            "tensor_parallel_mismatch",
            "vllm.tensor_parallel={parallel} does not divide the {processes} training processes",
            {"parallel": parallel, "processes": asked.processes},
        )
    if asked.vllm.nodes and asked.gpus_per_node % parallel:
        raise PydanticCustomError(
            "tensor_parallel_mismatch",
            "vllm.tensor_parallel={parallel} does not divide the {gpus} GPUs of a serving node",
            {"parallel": parallel, "gpus": asked.gpus_per_node},
        )
