"""/train-jobs: create, look at and cancel training jobs; job_streams.py has what they tell."""

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


class JobView(BaseModel):
    """A training job. Times are Unix seconds."""

    id: str
    status: JobState
    stage: Annotated[str | None, Field(description="part of the recipe that runs")]
    progress: Annotated[float, Field(ge=0, le=1)]
    eta_s: Annotated[float | None, Field(description="seconds to go, as the trainer expects")]
    created_at: float
    started_at: float | None
    finished_at: float | None
    cancel_requested: bool
    error: RunError | None
    spec: JobSpec
    spec_sha256: str
    best_checkpoint: Annotated[int | None, Field(description="step of the best checkpoint")]
    run_dir: Annotated[str, Field(description="folder of everything that the run writes")]

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """The public side of a stored job."""
        return cls(
            id=job.id,
            status=job.status,
            stage=job.stage,
            progress=job.progress,
            eta_s=job.eta_s,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            cancel_requested=job.wish == "cancel",
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
    """Check a job in full and queue it.

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


@router.get("/{job_id}/checkpoints")
async def train_job_checkpoints(job_id: JobId, parts: PartsDep) -> list[Checkpoint]:
    """Complete checkpoints by step, each with the metrics of its step."""
    return await parts.jobs.checkpoints(job_id)
