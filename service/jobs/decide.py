"""What to do about one active job, given what is seen of it: pure, no I/O, no clock."""

from dataclasses import dataclass
from typing import Literal

from service.jobs.job import Changes, Job
from service.jobs.launchers.base import Probe
from service.jobs.rundir import RunError, RunStatus

ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Launch:
    """Nothing runs yet: prepare, then submit."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell the trainer to end, or end it (`force`)."""

    force: bool


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing runs any more: the job's last state."""

    state: Literal["succeeded", "failed", "cancelled"]
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """It runs: write what is new, which may be nothing."""

    changes: Changes


Action = Launch | Stop | Finish | Record


@dataclass(frozen=True, slots=True)
class Seen:
    """What launcher and run directory show."""

    probe: Probe
    status: RunStatus | None
    log_tail: str = ""
    """End of trainer.log; needed only when the process has exited."""


def decide(job: Job, seen: Seen, *, now: float, grace_s: float) -> Action:
    """The next step for a `starting` or `running` job."""
    if seen.probe.state == "absent":
        return _not_launched(job, now)
    if seen.probe.state == "exited":
        return _ending(job, seen)
    return _stop_due(job, seen.status, now, grace_s) or Record(_news(job, seen))


def is_overdue(job: Job, now: float) -> bool:
    """True once the job's deadline, counted from its start, has passed."""
    deadline_s, started_at = job.spec.deadline_s, job.started_at
    return deadline_s is not None and started_at is not None and now > started_at + deadline_s


def _not_launched(job: Job, now: float) -> Action:
    if job.wish == "cancel":
        return Finish("cancelled")
    if is_overdue(job, now):
        return Finish("failed", _deadline_error(job))
    if job.status == "running":
        return Finish("failed", RunError(code="run_lost", message=f"{job.run_dir} is gone"))
    return Launch()


def _ending(job: Job, seen: Seen) -> Finish:
    said = seen.status.state if seen.status else None
    if said == "succeeded":
        return Finish("succeeded")
    if job.wish == "cancel":
        return Finish("cancelled")
    if job.stopping_since is not None:
        return Finish("failed", _deadline_error(job))
    if said == "failed" and seen.status and seen.status.error:
        return Finish("failed", seen.status.error)
    return Finish("failed", _death(seen))


def _stop_due(job: Job, status: RunStatus | None, now: float, grace_s: float) -> Stop | None:
    if job.stopping_since is not None:
        return Stop(force=True) if now >= job.stopping_since + grace_s else None
    if job.wish == "cancel" or is_overdue(job, now):
        return Stop(force=False)
    # It has said its last word, but does not leave.
    lingers = status is not None and status.state in ENDED and now > status.updated_at + grace_s
    return Stop(force=True) if lingers else None


def _news(job: Job, seen: Seen) -> Changes:
    found: Changes = {}
    if job.handle is None and seen.probe.handle is not None:
        found["handle"] = seen.probe.handle
    status = seen.status
    if status is None:
        return found
    if job.status == "starting" and status.state == "running":
        found["status"] = "running"
    if status.stage != job.stage:
        found["stage"] = status.stage
    if status.progress != job.progress:
        found["progress"] = status.progress
    if status.eta_s != job.eta_s:
        found["eta_s"] = status.eta_s
    if status.best_checkpoint != job.best_checkpoint:
        found["best_checkpoint"] = status.best_checkpoint
    return found


def _deadline_error(job: Job) -> RunError:
    return RunError(
        code="deadline_exceeded",
        message=f"not done {job.spec.deadline_s:g} s after its start; raise deadline_s",
        param="deadline_s",
    )


def _death(seen: Seen) -> RunError:
    said = seen.status.state if seen.status else None
    what = "was stopped from outside" if said == "cancelled" else "ended without a result"
    tail = f" Its last output:\n{seen.log_tail}" if seen.log_tail else " It wrote no output."
    message = f"the trainer {what} ({_manner(seen.probe.exit_code)}).{tail}"
    return RunError(code="trainer_died", message=message)


def _manner(exit_code: int | None) -> str:
    if exit_code is None:
        return "exit code unknown"
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
