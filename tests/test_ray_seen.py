"""What Ray's words and the driver's note mean for a job, case by case; what is sent to Ray."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from service.jobs.driver import DriverNote, kill_path, read_note, write_note
from service.jobs.launchers.base import Placement, Probe
from service.jobs.launchers.elsewhere import environment_elsewhere
from service.jobs.launchers.ray.seen import probe
from service.jobs.launchers.ray.submission import Program, submission
from service.jobs.resources import Resources

LOGS = ", last available logs (truncated to 20,000 chars):\nsuch a library is not here"
WAITING = DriverNote(attempt=0, phase="waiting", reason="waits for 2 nodes")
STARTED = DriverNote(attempt=0, phase="started")
KILLED = DriverNote(attempt=0, phase="ended", exit_code=-9, reason="killed")
LOST = DriverNote(attempt=0, phase="ended", preempted=True, reason="a node was lost: n1")


def ray(status: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "message": "as Ray says", "driver_exit_code": None} | more


def died(message: str, error_type: str = "JOB_SUPERVISOR_ACTOR_DIED") -> dict[str, Any]:
    return ray("FAILED", error_type=error_type, message=message)


@pytest.mark.parametrize(
    ("details", "note", "locked", "seen"),
    [
        (ray("PENDING"), None, False, Probe("pending", reason="as Ray says")),
        (ray("RUNNING"), None, False, Probe("pending")),
        (ray("RUNNING"), WAITING, False, Probe("pending", reason="waits for 2 nodes")),
        (ray("RUNNING"), STARTED, False, Probe("running")),
        (ray("SUCCEEDED", driver_exit_code=0), None, False, Probe("exited", 0)),
        (ray("STOPPED"), STARTED, False, Probe("exited", reason="as Ray says")),
        (ray("STOPPED"), KILLED, False, Probe("exited", -9, reason="killed")),
        (
            ray("FAILED", driver_exit_code=3),
            STARTED,
            False,
            Probe("exited", 3, reason="as Ray says"),
        ),
        (
            ray("FAILED", driver_exit_code=137),
            STARTED,
            False,
            Probe("exited", -9, reason="as Ray says"),
        ),
        (
            ray("FAILED", driver_exit_code=75),
            STARTED,
            False,
            Probe("exited", 75, preempted=True, reason="as Ray says"),
        ),
        (
            ray("FAILED", driver_exit_code=137, message=f"it ended with 137{LOGS}"),
            STARTED,
            False,
            Probe("exited", -9, reason="it ended with 137"),
        ),
        (
            ray("FAILED", driver_exit_code=1, message=f"it ended with 1{LOGS}"),
            None,
            False,
            Probe("exited", 1, reason=f"it ended with 1{LOGS}"),
        ),
        (
            ray("FAILED", driver_exit_code=75),
            LOST,
            False,
            Probe("exited", preempted=True, reason="a node was lost: n1"),
        ),
        (
            died("the actor's node has died"),
            STARTED,
            False,
            Probe("exited", preempted=True, reason="the actor's node has died"),
        ),
        (
            died("exit type: NODE_OUT_OF_MEMORY"),
            STARTED,
            False,
            Probe("exited", reason="exit type: NODE_OUT_OF_MEMORY"),
        ),
        (
            died("no such package", "RUNTIME_ENV_SETUP_FAILURE"),
            None,
            False,
            Probe("exited", reason="no such package"),
        ),
        (None, None, False, Probe("absent")),
        (None, None, True, Probe("absent")),
        (None, KILLED, False, Probe("exited", -9, reason="killed")),
        (
            None,
            STARTED,
            True,
            Probe("running", reason="Ray has forgotten the run, but its trainer lives"),
        ),
        (
            None,
            STARTED,
            False,
            Probe(
                "exited",
                preempted=True,
                reason="the Ray cluster was started anew while the run trained",
            ),
        ),
        (
            None,
            WAITING,
            True,
            Probe(
                "exited",
                preempted=True,
                reason="the Ray cluster was started anew while the run waited",
            ),
        ),
    ],
)
def test_what_is_said_has_one_meaning(
    details: dict[str, Any] | None, note: DriverNote | None, locked: bool, seen: Probe
) -> None:
    assert probe(details, note, locked=locked) == seen


def test_the_driver_asks_for_the_jobs_machines_and_the_entrypoint_for_none() -> None:
    asked = Resources.model_validate(
        {
            "nodes": 3,
            "gpus_per_node": 8,
            "cpus": 64,
            "memory_gb": 512,
            "vllm": {"mode": "server", "server_url": "http://a:8000", "nodes": 1},
        }
    )
    run = Placement("job_1", Path("/shared/my runs/job_1"), asked, attempt=2)
    program = Program("python", ["python", "-m", "trainer.scale"], {"TZ": "UTC"}, stop_s=20)
    body = submission(run, program)
    assert body == {
        "submission_id": "verisql-job-1-2",
        "entrypoint": body["entrypoint"],
        "runtime_env": {"env_vars": {"TZ": "UTC", "RAY_JOB_STOP_WAIT_TIME_S": "50"}},
        "metadata": {"verisql_job": "job_1", "verisql_attempt": "2"},
    }
    assert shlex.split(body["entrypoint"]) == [
        *("exec", "python", "-P", "-m", "trainer.scale.on_ray", "--run-dir=/shared/my runs/job_1"),
        *("--attempt=2", "--nodes=3", "--training-nodes=2", "--cpus=64", "--gpus=8"),
        *("--memory-bytes=549755813888", "--", "python", "-m", "trainer.scale"),
    ]


def test_neither_secrets_nor_this_machines_paths_travel() -> None:
    outer = {
        "PATH": "/bin",
        "HOME": "/root",
        "CUDA_VISIBLE_DEVICES": "0",
        "LD_LIBRARY_PATH": "/usr/lib",
        "VERISQL_API_KEYS": "s",
        "WANDB_API_KEY": "s",
        "MLFLOW_TRACKING_PASSWORD": "s",
        "WANDB_PROJECT": "sql",
        "NCCL_DEBUG": "INFO",
    }
    assert environment_elsewhere(outer) == {
        "WANDB_PROJECT": "sql",
        "NCCL_DEBUG": "INFO",
        "GOMP_SPINCOUNT": "300000",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
    }


def test_a_note_is_that_of_its_attempt_alone(tmp_path: Path) -> None:
    assert read_note(tmp_path, 0) is None
    write_note(tmp_path, LOST)
    assert read_note(tmp_path, 0) == LOST
    assert read_note(tmp_path, 1) is None
    assert kill_path(tmp_path, 0) != kill_path(tmp_path, 1)
    (tmp_path / "driver.json").write_text("{")
    assert read_note(tmp_path, 0) is None
