"""What the supervisor decides, as a table: job and what is seen of it, then the step."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.jobs.decide import Finish, Launch, Record, Seen, Stop, decide
from service.jobs.job import Job
from service.jobs.launchers.base import Probe
from service.jobs.rundir import RunError, RunStatus
from service.jobs.spec import JobSpec

NOW, GRACE_S = 1000.0, 20.0
RUNNING, ABSENT, EXITED = Probe("running"), Probe("absent"), Probe("exited", 1)
LATE = {"spec": JobSpec(base_model="m", train_data="demo", deadline_s=10)}
JOB = Job(
    id="job_1",
    status="running",
    spec=JobSpec(base_model="m", train_data="demo"),
    spec_sha256="",
    run_dir=Path("runs/job_1"),
    idempotency_key=None,
    request_sha256="",
    wish=None,
    lease_owner="me",
    lease_until=NOW + 10,
    created_at=NOW - 200,
    started_at=NOW - 100,
    stopping_since=None,
    finished_at=None,
    stage="grpo",
    progress=0.0,
    eta_s=None,
    error=None,
    best_checkpoint=None,
    handle={"pid": 1},
)

STEPS: list[tuple[str, dict[str, Any], Probe, dict[str, Any] | None, Any]] = [
    ("not launched", {"status": "starting"}, ABSENT, None, Launch()),
    ("no longer wanted", {"status": "starting", "wish": "cancel"}, ABSENT, None, "cancelled"),
    ("too late to start", {"status": "starting"} | LATE, ABSENT, None, "deadline_exceeded"),
    ("vanished", {}, ABSENT, None, "run_lost"),
    ("quiet", {}, RUNNING, None, Record({})),
    ("still loading", {"status": "starting"}, RUNNING, {"state": "starting"}, Record({})),
    ("found again", {"handle": None}, Probe("running", None, {"pid": 2}), None,
     Record({"handle": {"pid": 2}})),
    ("trains", {"status": "starting"}, RUNNING, {"state": "running", "step": 1, "max_steps": 4},
     Record({"status": "running", "progress": 0.25})),
    ("failed while loading", {"status": "starting"}, RUNNING, {"state": "failed"}, Record({})),
    ("cancel", {"wish": "cancel"}, RUNNING, None, Stop(force=False)),
    ("cancel while loading", {"status": "starting", "wish": "cancel"}, RUNNING, None, Stop(False)),
    ("past its deadline", LATE, RUNNING, None, Stop(force=False)),
    ("in its grace", {"wish": "cancel", "stopping_since": NOW - 19}, RUNNING, None, Record({})),
    ("out of grace", {"wish": "cancel", "stopping_since": NOW - 20}, RUNNING, None, Stop(True)),
    ("just done", {}, RUNNING, {"state": "succeeded", "updated_at": NOW - 1}, Record({})),
    ("lingers", {}, RUNNING, {"state": "succeeded", "updated_at": NOW - 21}, Stop(force=True)),
    ("done", {}, EXITED, {"state": "succeeded"}, "succeeded"),
    ("done before it could be cancelled", {"wish": "cancel"}, EXITED, {"state": "succeeded"},
     "succeeded"),
    ("cancelled", {"wish": "cancel"}, EXITED, {"state": "cancelled"}, "cancelled"),
    ("died while cancelled", {"wish": "cancel"}, EXITED, {"state": "running"}, "cancelled"),
    ("stopped by its deadline", {"stopping_since": NOW - 5} | LATE, EXITED,
     {"state": "cancelled"}, "deadline_exceeded"),
    ("died", {}, EXITED, {"state": "running"}, "trainer_died"),
    ("died before its first word", {"status": "starting"}, EXITED, None, "trainer_died"),
    ("stopped by someone else", {}, EXITED, {"state": "cancelled"}, "trainer_died"),
    ("failed", {}, EXITED, {"state": "failed", "error": RunError(code="nan", message="m")}, "nan"),
]  # fmt: skip


@pytest.mark.parametrize(("job", "probe", "said", "step"), [s[1:] for s in STEPS],
                         ids=[s[0] for s in STEPS])  # fmt: skip
def test_the_next_step(
    job: dict[str, Any], probe: Probe, said: dict[str, Any] | None, step: Any
) -> None:
    status = None if said is None else RunStatus(**{"updated_at": NOW} | said)
    decided = decide(replace(JOB, **job), Seen(probe, status), now=NOW, grace_s=GRACE_S)
    if isinstance(step, str):
        assert isinstance(decided, Finish)
        assert (decided.error.code if decided.error else decided.state) == step
    else:
        assert decided == step


@pytest.mark.parametrize(
    ("exit_code", "said"), [(-9, "signal 9"), (3, "exit code 3"), (None, "exit code unknown")]
)
def test_a_death_is_told_with_its_manner_and_last_words(exit_code: int | None, said: str) -> None:
    seen = Seen(Probe("exited", exit_code), None, "MemoryError")
    decided = decide(JOB, seen, now=NOW, grace_s=GRACE_S)
    assert isinstance(decided, Finish)
    assert decided.error
    assert said in decided.error.message
    assert decided.error.message.endswith("MemoryError")
