"""A training job as the store keeps it. Times are Unix seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from service.ids import new_id
from service.jobs.rundir import RunError
from service.jobs.spec import JobSpec
from service.jobs.state import JobState


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
    wish: Literal["cancel"] | None
    """What a caller asked for; only the supervisor acts on it."""
    lease_owner: str | None
    lease_until: float | None
    created_at: float
    started_at: float | None
    stopping_since: float | None
    """When the trainer was told to end, if it was."""
    finished_at: float | None
    stage: str | None
    progress: float
    eta_s: float | None
    error: RunError | None
    best_checkpoint: int | None
    handle: dict[str, Any] | None
    """What the launcher gave back; only the launcher reads it."""


class Changes(TypedDict, total=False):
    """Columns that the supervisor may write."""

    status: JobState
    stopping_since: float
    finished_at: float
    stage: str
    progress: float
    eta_s: float | None
    error: RunError | None
    best_checkpoint: int | None
    handle: dict[str, Any]


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
