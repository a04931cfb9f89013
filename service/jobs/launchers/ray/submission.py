"""What is sent to Ray to start a run: pure."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.jobs.launchers.base import Placement

_KILL_AFTER_S = 30


@dataclass(frozen=True, slots=True)
class Program:
    """What runs on the cluster."""

    python: str
    """Of the cluster's nodes, with this project's trainer installed."""
    command: Sequence[str]
    """A node's part of the run; `--run-dir DIR` is appended."""
    environment: Mapping[str, str]
    stop_s: float
    """From a gentle stop to a forced one, seconds; later still Ray itself ends the driver."""


def submission(placement: Placement, program: Program) -> dict[str, Any]:
    """The body of POST /api/jobs/.

    The entrypoint asks for nothing, so that Ray runs it at once, on the head node: it is a driver
    that reserves the machines itself (trainer/scale/on_ray.py). Resources of an entrypoint would
    be simpler, but Ray cannot withdraw a submission that waits for them.
    """
    driver = [program.python, "-P", "-m", "trainer.scale.on_ray", *_arguments(placement)]
    # Read by Ray's own process beside the driver: how long it waits between SIGTERM and SIGKILL.
    patience = {"RAY_JOB_STOP_WAIT_TIME_S": str(round(program.stop_s) + _KILL_AFTER_S)}
    return {
        "submission_id": placement.launch_name,
        "entrypoint": "exec " + shlex.join([*driver, "--", *program.command]),
        "runtime_env": {"env_vars": dict(program.environment) | patience},
        "metadata": {"verisql_job": placement.job_id, "verisql_attempt": str(placement.attempt)},
    }


def _arguments(placement: Placement) -> list[str]:
    asked = placement.resources
    return [
        f"--run-dir={placement.run_dir}",
        f"--attempt={placement.attempt}",
        f"--nodes={asked.nodes}",
        f"--training-nodes={asked.training_nodes}",
        f"--cpus={asked.cpus}",
        f"--gpus={asked.gpus_per_node}",
        f"--memory-bytes={round(asked.memory_gb * 2**30)}",
    ]
