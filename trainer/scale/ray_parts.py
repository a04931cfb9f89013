"""The parts of a run as actors on the nodes of a Ray cluster; Ray is imported when one is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from service.jobs.rundir import RunDir
from trainer.scale.node_part import NodePart

_ANSWER_S = 1.0


class PartLost(Exception):
    """A node's part is gone with its machine or its process."""

    def __init__(self, message: str, *, preempted: bool) -> None:
        super().__init__(message)
        self.preempted = preempted


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run reserves: `nodes` times the same, the first `training_nodes` of them train."""

    nodes: int
    training_nodes: int
    cpus: float
    gpus: float
    memory_bytes: int

    @property
    def bundle(self) -> dict[str, float]:
        """Of each node, in Ray's names."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes}
        return {name: float(much) for name, much in wanted.items() if much}


class RayParts:
    """Reserve, start, watch, end. Leaving it gives everything back.

    Calls that talk to a lost node raise PartLost as soon as Ray knows.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._group: Any = None
        self._parts: list[Any] = []
        self._answers: list[Any] = []

    def __enter__(self) -> Self:
        """Join the cluster that this Ray job belongs to, and ask for the machines."""
        import ray
        from ray.util.placement_group import placement_group

        ray.init(address="auto", log_to_driver=False)
        bundles = [self._asked.bundle] * self._asked.nodes
        self._group = placement_group(bundles, strategy="STRICT_SPREAD")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the cluster: Ray ends the actors and frees the reservation."""
        import ray

        ray.shutdown()

    def are_reserved(self, timeout_s: float) -> bool:
        """True once every node has its bundle; waits at most `timeout_s`."""
        return bool(self._group.wait(timeout_s))

    def missing(self) -> str:
        """What is waited for, and what is free."""
        import ray

        free = ray.available_resources()  # type: ignore[no-untyped-call]
        wanted = self._asked.bundle
        left = {name: free.get(name, 0.0) for name in wanted}
        return f"waits for {self._asked.nodes} nodes with {_shown(wanted)}; free: {_shown(left)}"

    def start(self, command: Sequence[str], run_dir: Path) -> None:
        """Start every node's part; the first writes trainer.log, the others node-N.log."""
        self._parts = [self._actor(index) for index in range(self._asked.nodes)]
        rest = self._where() if self._asked.nodes > 1 else []
        started = []
        for rank, part in enumerate(self._parts):
            numbered = [*command, "--node-rank", str(rank), *rest] if rest else list(command)
            log = RunDir(run_dir).log_path if rank == 0 else run_dir / f"node-{rank}.log"
            started.append(part.start.remote(numbered, log))
        self._get(started)

    def exit_code(self) -> int | None:
        """The first bad one of any part, or 0 once all that train have ended well; else None.

        None also while a node does not answer and Ray has not yet given it up.
        """
        import ray

        if not self._answers:
            self._answers = [part.exit_code.remote() for part in self._parts]
        ready, _ = ray.wait(self._answers, num_returns=len(self._answers), timeout=_ANSWER_S)
        if len(ready) < len(self._answers):
            return None
        codes, self._answers = self._get(self._answers), []
        if all(code == 0 for code in codes[: self._asked.training_nodes]):
            return 0
        return next((code for code in codes if code), None)

    def stop(self) -> None:
        """SIGTERM to every part that trains."""
        for part in self._parts[: self._asked.training_nodes]:
            part.stop.remote()

    def kill(self) -> None:
        """SIGKILL to every part that can be reached; waits a little for them to be gone."""
        import ray

        ray.wait(
            [part.kill.remote() for part in self._parts],
            num_returns=len(self._parts),
            timeout=10 * _ANSWER_S,
        )

    def _actor(self, index: int) -> Any:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        bundle = self._asked.bundle
        return (
            ray.remote(NodePart)
            .options(
                num_cpus=bundle.get("CPU", 0),
                num_gpus=bundle.get("GPU", 0),
                memory=bundle.get("memory"),
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    self._group, placement_group_bundle_index=index
                ),
            )
            .remote()
        )

    def _where(self) -> list[str]:
        host, port = self._get([self._parts[0].address.remote()])[0]
        return ["--main-address", host, "--main-port", str(port)]

    def _get(self, answers: list[Any]) -> list[Any]:
        import ray

        try:
            return list(ray.get(answers))
        except ray.exceptions.RayTaskError as error:
            raise PartLost(f"a part cannot be started: {error.cause}", preempted=False) from error
        except ray.exceptions.RayError as error:
            eaten = "out_of_memory" in str(error).lower() or "low on memory" in str(error).lower()
            first = str(error).strip().splitlines()[0]
            raise PartLost(f"a node was lost: {first}", preempted=not eaten) from error


def _shown(much: dict[str, float]) -> str:
    return ", ".join(
        f"{value / 2**30:.1f} GB memory" if name == "memory" else f"{value:g} {name}"
        for name, value in much.items()
    )
