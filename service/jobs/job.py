"""A training job as the store keeps it. Times are Unix seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from service.ids import new_id
from service.jobs.rundir import RunError
from service.jobs.spec import JobSpec
from service.jobs.state import JobState

Wish = Literal["cancel", "pause"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job has held of its machines so far, all attempts together."""

    gpu_hours: float
    cpu_hours: float


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the store."""

    id: str
    status: JobState
    spec: JobSpec
    spec_sha256: str
    run_dir: Path
    idempotency_key: str | None
    request_sha256: str
    wish: Wish | None
    """What a caller asked for; only the supervisor acts on it."""
    lease_owner: str | None
    lease_until: float | None
    created_at: float
    validated_at: float | None
    started_at: float | None
    """First start since the job was created or last resumed; its deadline counts from here."""
    attempt_started_at: float | None
    """Since when this attempt holds its machines; None while it waits for them or none runs."""
    stopping_since: float | None
    """When the trainer was told to end, if it was."""
    finished_at: float | None
    expires_at: float | None
    """When its run folder may be removed; None is never, or already done."""
    gone_at: float | None
    """When its run folder was removed."""
    priority: int
    """-100..100, higher first."""
    attempt: int
    """0 for the first start; every resume and retry is the next one."""
    retries_left: int
    not_before: float | None
    """A queued job starts no earlier: the pause before a retry."""
    active_s: float
    """Seconds that the attempts before this one have held their machines."""
    parent_id: str | None
    parent_step: int | None
    stage: str | None
    progress: float
    eta_s: float | None
    reason: str | None
    """Why it waits, in words for people."""
    error: RunError | None
    best_checkpoint: int | None
    handle: dict[str, Any] | None
    """What the launcher gave back; only the launcher reads it."""

    def held_s(self, now: float) -> float:
        """Seconds that it has held its machines until `now`, all attempts together."""
        since = self.attempt_started_at
        return self.active_s + (max(0.0, now - since) if since is not None else 0.0)

    def cost(self, now: float) -> Cost:
        """Machine hours until `now`: what was asked for, whether it was busy or not."""
        asked, hours = self.spec.resources, self.held_s(now) / 3600
        return Cost(hours * asked.nodes * asked.gpus_per_node, hours * asked.nodes * asked.cpus)


class Changes(TypedDict, total=False):
    """Columns that the supervisor may write."""

    status: JobState
    wish: Wish | None
    validated_at: float
    attempt_started_at: float | None
    stopping_since: float | None
    finished_at: float
    expires_at: float | None
    gone_at: float
    attempt: int
    retries_left: int
    not_before: float | None
    active_s: float
    stage: str
    progress: float
    eta_s: float | None
    reason: str | None
    error: RunError | None
    best_checkpoint: int | None
    handle: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What the creator of a job decides; the store adds the rest."""

    id: str
    spec: JobSpec
    spec_sha256: str
    run_dir: Path
    request_sha256: str
    idempotency_key: str | None = None


def new_job_id() -> str:
    """`job_` and 22 characters that sort by time."""
    return new_id("job")
