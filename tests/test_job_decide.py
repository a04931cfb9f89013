"""What the supervisor decides, as a table: job and what is seen of it, then the step."""

from typing import Any, get_args

import pytest

from service.jobs.decide import (
    NOTHING,
    Action,
    Finish,
    Launch,
    Park,
    Record,
    Retry,
    Seen,
    Stop,
    Times,
    Validate,
    decide,
)
from service.jobs.job import Job, Wish
from service.jobs.launchers.base import Probe
from service.jobs.rundir import RunError, RunStatus
from service.jobs.state import ACTIVE, STATES, TERMINAL, TRANSITIONS, JobState
from tests.fixtures_jobs import job_row

NOW, TIMES = 1000.0, Times(grace_s=20, retry_s=10)
PENDING, RUNNING, ABSENT = Probe("pending", reason="no node"), Probe("running"), Probe("absent")
EXITED, KILLED = Probe("exited", 1), Probe("exited", -9)
LOST_NODE = Probe("exited", 1, preempted=True, reason="node lost")
TOO_MUCH = Probe("exited", -9, out_of_memory=True, reason="pod p: OOMKilled")
LATE = {"spec": {"deadline_s": 10}}
NO_RETRY = {"retries_left": 0}
STARTING = {"status": "starting", "attempt_started_at": None}
CANCEL, PAUSE = {"wish": "cancel"}, {"wish": "pause"}
NAN = RunError(code="nan", message="m")

STEPS: list[tuple[str, dict[str, Any], Probe, dict[str, Any] | None, Any]] = [
    # Not launched
    ("not launched", STARTING, ABSENT, None, Launch()),
    ("no longer wanted", STARTING | CANCEL, ABSENT, None, "cancelled"),
    ("paused before it was launched", STARTING | PAUSE, ABSENT, None, Park()),
    ("too late to start", STARTING | LATE, ABSENT, None, "deadline_exceeded"),
    # Pending
    ("waits for a machine", STARTING, PENDING, None, Record({"reason": "no node"})),
    ("still waits", STARTING | {"reason": "no node"}, PENDING, None, Record({})),
    ("cancelled while it waits", STARTING | CANCEL, PENDING, None, Stop(force=False)),
    ("waits past its deadline", STARTING | LATE, PENDING, None, Stop(force=False)),
    ("got its machine", STARTING | {"reason": "no node"}, RUNNING, None,
     Record({"attempt_started_at": NOW, "reason": None})),
    # Running
    ("quiet", {}, RUNNING, None, Record({})),
    ("still loading", STARTING, RUNNING, {"state": "starting"},
     Record({"attempt_started_at": NOW})),
    ("found again", {"handle": None}, Probe("running", None, {"pid": 2}), None,
     Record({"handle": {"pid": 2}})),
    ("trains", {"status": "starting"}, RUNNING, {"state": "running", "step": 1, "max_steps": 4},
     Record({"status": "running", "progress": 0.25})),
    ("tells how long", {}, RUNNING, {"state": "running", "eta_s": 7.0, "best_checkpoint": 3},
     Record({"eta_s": 7.0, "best_checkpoint": 3})),
    ("failed while loading", {"status": "starting"}, RUNNING, {"state": "failed"}, Record({})),
    ("cancel", CANCEL, RUNNING, None, Stop(force=False)),
    ("pause", PAUSE, RUNNING, None, Stop(force=False)),
    ("cancel while loading", STARTING | CANCEL, RUNNING, None, Stop(force=False)),
    ("past its deadline", LATE, RUNNING, None, Stop(force=False)),
    ("in its grace", CANCEL | {"stopping_since": NOW - 19}, RUNNING, None, Record({})),
    ("out of grace", CANCEL | {"stopping_since": NOW - 20}, RUNNING, None, Stop(force=True)),
    ("does not pause in time", PAUSE | {"stopping_since": NOW - 20}, RUNNING, None, Stop(True)),
    ("just done", {}, RUNNING, {"state": "succeeded", "updated_at": NOW - 1}, Record({})),
    ("lingers", {}, RUNNING, {"state": "succeeded", "updated_at": NOW - 21}, Stop(force=True)),
    # Ended with a result
    ("done", {}, EXITED, {"state": "succeeded"}, "succeeded"),
    ("done between two looks", STARTING, EXITED, {"state": "succeeded"}, "succeeded"),
    ("done before its cancel", CANCEL, EXITED, {"state": "succeeded"}, "succeeded"),
    ("done before its pause", PAUSE, EXITED, {"state": "succeeded"}, "succeeded"),
    ("done on a machine that went then", {}, LOST_NODE, {"state": "succeeded"}, "succeeded"),
    ("failed", {}, EXITED, {"state": "failed", "error": NAN}, "nan"),
    ("failed while it was to pause", PAUSE, EXITED, {"state": "failed", "error": NAN}, "nan"),
    # Ended because we said so
    ("cancelled", CANCEL, EXITED, {"state": "cancelled"}, "cancelled"),
    ("died while cancelled", CANCEL, KILLED, {"state": "running"}, "cancelled"),
    ("paused", PAUSE | {"stopping_since": NOW - 5}, Probe("exited", 0), {"state": "cancelled"},
     Park()),
    ("killed to pause", PAUSE | {"stopping_since": NOW - 25}, KILLED, {"state": "running"}, Park()),
    ("machine went while it paused", PAUSE, LOST_NODE, {"state": "running"}, Park()),
    ("stopped by its deadline", LATE | {"stopping_since": NOW - 5}, EXITED,
     {"state": "cancelled"}, "deadline_exceeded"),
    ("killed by its deadline", LATE | {"stopping_since": NOW - 25}, KILLED,
     {"state": "running"}, "deadline_exceeded"),
    # Taken away: by no fault of the trainer
    ("killed", {}, KILLED, {"state": "running"}, 10),
    ("killed by a shell's account", {}, Probe("exited", 137), {"state": "running"}, 10),
    ("told to end by someone else", {}, Probe("exited", -15), {"state": "running"}, 10),
    ("ended itself for someone else", {}, Probe("exited", 0), {"state": "cancelled"}, 10),
    ("gone while nobody looked", {}, Probe("exited", None), {"state": "running"}, 10),
    ("killed before its first word", STARTING, KILLED, None, 10),
    ("node lost", {}, LOST_NODE, {"state": "running"}, 10),
    ("node lost, which it took for its own error", {}, LOST_NODE,
     {"state": "failed", "error": NAN}, 10),
    ("its launch was deleted", {}, ABSENT, {"state": "running"}, 10),
    ("once more", {"retries_left": 1}, KILLED, {"state": "running"}, 40),
    ("never again", NO_RETRY, KILLED, {"state": "running"}, "trainer_died"),
    ("no machine stays", NO_RETRY, LOST_NODE, {"state": "running"}, "preempted"),
    ("stopped from outside, no retry", NO_RETRY, EXITED, {"state": "cancelled"}, "trainer_died"),
    # Its own fault
    ("died", {}, EXITED, {"state": "running"}, "trainer_died"),
    ("crashed", {}, Probe("exited", -11), {"state": "running"}, "trainer_died"),
    ("died before its first word", STARTING, EXITED, None, "trainer_died"),
    ("killed after it had failed", {}, KILLED, {"state": "failed"}, "trainer_died"),
    ("its neighbour wanted too much memory", {}, TOO_MUCH, {"state": "failed", "error": NAN},
     "out_of_memory"),
]  # fmt: skip


def seen_as(probe: Probe, said: dict[str, Any] | None, **seen: Any) -> Seen:
    return Seen(probe, None if said is None else RunStatus(**{"updated_at": NOW} | said), **seen)


def name_of(action: Action) -> Any:
    if isinstance(action, Finish):
        return action.error.code if action.error else action.state
    return action.not_before - NOW if isinstance(action, Retry) else action


@pytest.mark.parametrize(("job", "probe", "said", "step"), [s[1:] for s in STEPS],
                         ids=[s[0] for s in STEPS])  # fmt: skip
def test_the_next_step(
    job: dict[str, Any], probe: Probe, said: dict[str, Any] | None, step: Any
) -> None:
    assert name_of(decide(job_row(**job), seen_as(probe, said), TIMES, NOW)) == step


@pytest.mark.parametrize(
    ("status", "wish", "step"),
    [
        ("validating", None, Validate()),
        ("validating", "pause", Validate()),
        ("validating", "cancel", "cancelled"),
        ("queued", None, Record({})),
        ("queued", "pause", Park()),
        ("queued", "cancel", "cancelled"),
        ("paused", None, Record({})),
        ("paused", "cancel", "cancelled"),
    ],
)
def test_the_next_step_of_a_job_without_a_machine(status: str, wish: str, step: Any) -> None:
    assert name_of(decide(job_row(status=status, wish=wish), NOTHING, TIMES, NOW)) == step


@pytest.mark.parametrize("status", ["starting", "running"])
@pytest.mark.parametrize("probe", [ABSENT, EXITED, KILLED, LOST_NODE])
def test_a_lost_folder_is_never_started_again(status: str, probe: Probe) -> None:
    job = job_row(status=status, attempt=1)
    assert name_of(decide(job, seen_as(probe, None, is_lost=True), TIMES, NOW)) == "run_lost"


def leads_to(action: Action, job: Job) -> str:
    match action:
        case Finish(state):
            return state
        case Park():
            return "paused"
        case Retry():
            return "queued"
        case Record(changes):
            return changes.get("status", job.status)
    return job.status


PROBES = [PENDING, RUNNING, ABSENT, EXITED, KILLED, LOST_NODE, Probe("exited", None)]
SAID = [None, "starting", "running", "succeeded", "failed", "cancelled"]


@pytest.mark.parametrize("status", sorted(set(STATES) - TERMINAL))
@pytest.mark.parametrize("wish", [None, *get_args(Wish)])
@pytest.mark.parametrize("retries_left", [0, 3])
@pytest.mark.parametrize("is_lost", [False, True])
def test_whatever_is_seen_the_step_is_allowed_and_serves_the_wish(
    status: JobState, wish: str | None, retries_left: int, is_lost: bool
) -> None:
    for stopping in (None, NOW - 5, NOW - 50):
        job = job_row(status=status, wish=wish, retries_left=retries_left, stopping_since=stopping)
        for probe in PROBES if status in ACTIVE else [ABSENT]:
            for said in SAID:
                seen = seen_as(probe, {"state": said} if said else None, is_lost=is_lost)
                action = decide(job, seen, TIMES, NOW)
                new = leads_to(action, job)
                assert new == status or new in TRANSITIONS[status], (probe, said, action)
                if wish:
                    assert not isinstance(action, Launch | Retry), (probe, said)
                if wish == "cancel":
                    assert not isinstance(action, Validate | Park), (probe, said)
                if probe.state in ("pending", "running"):
                    assert isinstance(action, Stop | Record), "what runs is not forgotten"


def test_a_job_that_is_to_end_is_stopped_whatever_it_says() -> None:
    for said in SAID:
        for wish in get_args(Wish):
            seen = seen_as(RUNNING, {"state": said} if said else None)
            assert decide(job_row(wish=wish), seen, TIMES, NOW) == Stop(force=False)
