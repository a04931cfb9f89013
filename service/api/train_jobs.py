"""/train-jobs: create, look at, pause, resume, cancel; job_streams.py has what jobs tell."""

import time
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from pydantic import BaseModel, Field

from service.api.deps import PartsDep
from service.jobs.job import Job
from service.jobs.rundir import Checkpoint, RunError
from service.jobs.spec import JobSpec
from service.jobs.state import JobState

router = APIRouter(prefix="/train-jobs", tags=["train-jobs"])

JobId = Annotated[str, Path(max_length=64, description="as POST /train-jobs gave it")]


class CostView(BaseModel):
    """Hours of the machines that the job has held, busy or not, all attempts together."""

    gpu_hours: float
    cpu_hours: float


class JobView(BaseModel):
    """A training job. Times are Unix seconds."""

    id: str
    status: JobState
    stage: Annotated[str | None, Field(description="part of the recipe that runs")]
    progress: Annotated[float, Field(ge=0, le=1)]
    eta_s: Annotated[float | None, Field(description="seconds to go, as the trainer expects")]
    reason: Annotated[str | None, Field(description="why it waits, in words for people")]
    priority: int
    attempt: Annotated[int, Field(ge=0, description="one more at each resume and retry")]
    retries_left: int
    not_before: Annotated[float | None, Field(description="a retry starts no earlier")]
    created_at: float
    validated_at: float | None
    started_at: Annotated[float | None, Field(description="since created or last resumed")]
    finished_at: float | None
    expires_at: Annotated[float | None, Field(description="when `ttl_s` lets its folder go")]
    gone_at: Annotated[float | None, Field(description="when its folder was removed")]
    active_s: Annotated[float, Field(description="seconds that it has held its machines")]
    cost: CostView
    cancel_requested: bool
    pause_requested: bool
    error: RunError | None
    spec: JobSpec
    spec_sha256: str
    best_checkpoint: Annotated[int | None, Field(description="step of the best checkpoint")]
    run_dir: Annotated[str, Field(description="folder of everything that the run writes")]

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """The public side of a stored job."""
        now = time.time()
        cost = job.cost(now)
        return cls(
            id=job.id,
            status=job.status,
            stage=job.stage,
            progress=job.progress,
            eta_s=job.eta_s,
            reason=job.reason,
            priority=job.priority,
            attempt=job.attempt,
            retries_left=job.retries_left,
            not_before=job.not_before,
            created_at=job.created_at,
            validated_at=job.validated_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
            gone_at=job.gone_at,
            active_s=job.held_s(now),
            cost=CostView(gpu_hours=cost.gpu_hours, cpu_hours=cost.cpu_hours),
            cancel_requested=job.wish == "cancel",
            pause_requested=job.wish == "pause",
            error=job.error,
            spec=job.spec,
            spec_sha256=job.spec_sha256,
            best_checkpoint=job.best_checkpoint,
            run_dir=str(job.run_dir),
        )


class JobPage(BaseModel):
    """Jobs, newest first."""

    data: list[JobView]
    has_more: bool

    @classmethod
    def of(cls, jobs: list[Job], has_more: bool) -> "JobPage":
        """The public side of a page of jobs."""
        return cls(data=[JobView.of(job) for job in jobs], has_more=has_more)


@router.post("", status_code=202)
async def create_train_job(
    spec: JobSpec,
    parts: PartsDep,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> JobView:
    """Check a job and create it as `validating`.

    Its model is fetched and its data looked at before it is `queued`; what is found wrong then
    makes it `failed`, with no machine used.

    The same `Idempotency-Key` with the same body gives back the job that it created the first
    time; with another body it is a 409.
    """
    return JobView.of(await parts.jobs.create(spec, idempotency_key))


@router.get("")
async def list_train_jobs(
    parts: PartsDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[
        str | None, Query(max_length=64, description="id of the last job of the page before")
    ] = None,
    status: JobState | None = None,
) -> JobPage:
    """Jobs, newest first, optionally those in one status."""
    return JobPage.of(*await parts.jobs.page(limit=limit, after=after, status=status))


@router.get("/{job_id}")
async def get_train_job(job_id: JobId, parts: PartsDep) -> JobView:
    """One job: state, progress, error."""
    return JobView.of(await parts.jobs.get(job_id))


@router.post("/{job_id}/cancel")
async def cancel_train_job(job_id: JobId, parts: PartsDep) -> JobView:
    """Ask for the job's end; it is `cancelled` once nothing of it runs any more.

    The trainer gets a grace period to write a checkpoint, then it is killed. May be repeated. A
    job that has ended already is answered unchanged, as is one that succeeds before it can be
    stopped: look at `status`, not at the answer's code.
    """
    return JobView.of(await parts.jobs.cancel(job_id))


@router.post("/{job_id}/pause")
async def pause_train_job(job_id: JobId, parts: PartsDep) -> JobView:
    """Ask for a pause; the job is `paused` once nothing of it runs any more.

    The trainer gets a grace period to write a checkpoint. A paused job uses no machine and keeps
    its checkpoints. May be repeated; a job that has ended is a 409.
    """
    return JobView.of(await parts.jobs.pause(job_id))


@router.post("/{job_id}/resume")
async def resume_train_job(job_id: JobId, parts: PartsDep) -> JobView:
    """Queue a paused or failed job again; it goes on from its newest checkpoint.

    May be repeated: a job that waits or runs already is answered unchanged. One that has succeeded,
    was cancelled, or whose run folder is gone is a 409.
    """
    return JobView.of(await parts.jobs.resume(job_id))


@router.get("/{job_id}/checkpoints")
async def train_job_checkpoints(job_id: JobId, parts: PartsDep) -> list[Checkpoint]:
    """Complete checkpoints by step, each with the metrics of its step."""
    return await parts.jobs.checkpoints(job_id)
