"""What to do about one job, given what is seen of it: pure, no I/O, no clock."""

from dataclasses import dataclass
from typing import Literal

from service.jobs.deaths import death, lost, pause_before_retry, taken_away, too_late, why_taken
from service.jobs.job import Changes, Job
from service.jobs.launchers.base import Probe
from service.jobs.rundir import RunError, RunStatus

ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Validate:
    """Look at everything that can be known before a machine is used."""


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
class Park:
    """Nothing runs any more: the job is paused."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing runs any more, by no fault of the trainer: queue the next attempt."""

    not_before: float
    why: str


@dataclass(frozen=True, slots=True)
class Record:
    """Write what is new, which may be nothing."""

    changes: Changes


Action = Validate | Launch | Stop | Finish | Park | Retry | Record


@dataclass(frozen=True, slots=True)
class Seen:
    """What launcher and run directory show."""

    probe: Probe
    status: RunStatus | None
    log_tail: str = ""
    """End of trainer.log; needed only when the process has exited."""
    is_lost: bool = False
    """The run's folder, which was there, is not."""

    @property
    def outranked(self) -> bool:
        """The launcher knows better than the trainer, which saw a neighbour vanish."""
        return self.probe.preempted or self.probe.out_of_memory


NOTHING = Seen(Probe("absent"), None)
"""Of a job that uses no machine there is nothing to see."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that bound what happens."""

    grace_s: float
    """From SIGTERM to SIGKILL."""
    retry_s: float
    """Before the first retry."""


def decide(job: Job, seen: Seen, times: Times, now: float) -> Action:
    """The next step for a job that has not ended."""
    if job.status not in ("starting", "running"):
        return _unplaced(job)
    if seen.probe.state in ("pending", "running"):
        return _stop_due(job, seen.status, now, times.grace_s) or Record(_news(job, seen, now))
    if seen.probe.state == "absent" and job.status == "starting":
        return _not_launched(job, seen, now)
    return _ending(job, seen, times, now)


def is_overdue(job: Job, now: float) -> bool:
    """True once the job's deadline, counted from its start, has passed."""
    deadline_s, started_at = job.spec.deadline_s, job.started_at
    return deadline_s is not None and started_at is not None and now > started_at + deadline_s


def _unplaced(job: Job) -> Action:
    if job.wish == "cancel":
        return Finish("cancelled")
    if job.status == "validating":
        return Validate()
    return Park() if job.wish == "pause" and job.status == "queued" else Record({})


def _not_launched(job: Job, seen: Seen, now: float) -> Action:
    if job.wish is not None:
        return Finish("cancelled") if job.wish == "cancel" else Park()
    if is_overdue(job, now):
        return Finish("failed", too_late(job))
    return Finish("failed", lost(job)) if seen.is_lost else Launch()


def _ending(job: Job, seen: Seen, times: Times, now: float) -> Finish | Park | Retry:
    said = seen.status.state if seen.status else None
    if said == "succeeded":
        return Finish("succeeded")
    if job.wish == "cancel":
        return Finish("cancelled")
    if said == "failed" and seen.status and seen.status.error and not seen.outranked:
        return Finish("failed", seen.status.error)
    if seen.is_lost:
        return Finish("failed", lost(job))
    if job.wish == "pause":
        return Park()
    if job.stopping_since is not None and job.spec.deadline_s is not None:
        return Finish("failed", too_late(job))
    if taken_away(seen.probe, said) and job.retries_left > 0:
        return Retry(now + pause_before_retry(job, times.retry_s), why_taken(seen.probe))
    return Finish("failed", death(job, seen.probe, seen.status, seen.log_tail))


def _stop_due(job: Job, status: RunStatus | None, now: float, grace_s: float) -> Stop | None:
    if job.stopping_since is not None:
        return Stop(force=True) if now >= job.stopping_since + grace_s else None
    # It has said its last word, but does not leave.
    lingers = status is not None and status.state in ENDED and now > status.updated_at + grace_s
    if lingers:
        return Stop(force=True)
    return Stop(force=False) if job.wish is not None or is_overdue(job, now) else None


def _news(job: Job, seen: Seen, now: float) -> Changes:
    found: Changes = {}
    if job.handle is None and seen.probe.handle is not None:
        found["handle"] = seen.probe.handle
    if seen.probe.state == "running" and job.attempt_started_at is None:
        found["attempt_started_at"] = now
    if seen.probe.reason != job.reason:
        found["reason"] = seen.probe.reason
    if seen.status is not None:
        found.update(_progress(job, seen.status))
    return found


def _progress(job: Job, status: RunStatus) -> Changes:
    found: Changes = {}
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
