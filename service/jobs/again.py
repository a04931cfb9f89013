"""Whether a job can go on, or another one start from its checkpoint. Blocks on files."""

from service.errors import Conflict, InvalidRequest, InvalidTransition
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec


def check_resumable(job: Job) -> None:
    """Raise InvalidTransition or Conflict if a paused or failed job has nothing to go on from."""
    if job.wish == "cancel" and job.status == "paused":
        raise InvalidTransition(f"{job.id} is being cancelled: it cannot be resumed")
    if not job.attempt and job.started_at is None and job.validated_at is None:
        raise InvalidTransition(
            f"{job.id} failed before it was queued ({job.error.code if job.error else 'unknown'}): "
            "correct its spec, and create another job"
        )
    if job.gone_at is not None:
        raise Conflict(f"the run folder of {job.id} was removed, as its ttl_s asked")
    if job.started_at is not None and not RunDir(job.run_dir).exists():
        raise Conflict(f"the run folder of {job.id} is gone: {job.run_dir}")


def check_going(job: Job) -> None:
    """Raise InvalidTransition unless the job waits or runs and nobody wishes for its end."""
    if job.status in ("succeeded", "cancelled", "failed", "paused"):
        raise InvalidTransition(f"{job.id} is {job.status}: it cannot be resumed")
    if job.wish is not None:
        doing = "cancelled" if job.wish == "cancel" else "paused: resume it once it is `paused`"
        raise InvalidTransition(f"{job.id} is being {doing}")


def check_fork(spec: JobSpec, parent: Job) -> None:
    """Raise InvalidRequest unless `spec` can start from that checkpoint of `parent`."""
    if spec.parent is None:
        return
    theirs, mine = parent.spec, spec
    if theirs.base_model != mine.base_model:
        raise _unlike("base_model", mine.base_model, theirs.base_model, parent)
    ranks = mine.hyperparameters.lora_rank, theirs.hyperparameters.lora_rank
    if ranks[0] != ranks[1]:
        raise _unlike("hyperparameters.lora_rank", *ranks, parent)
    if "select" in theirs.recipe:
        raise InvalidRequest(
            f"{parent.id} chose its base model in the stage 'select': fork one that names its own",
            param="parent.job_id",
        )
    if parent.gone_at is not None:
        raise InvalidRequest(
            f"the run folder of {parent.id} was removed, its checkpoints with it",
            param="parent.job_id",
        )
    steps = RunDir(parent.run_dir).checkpoints()
    if spec.parent.step not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise InvalidRequest(
            f"{parent.id} has no checkpoint of step {spec.parent.step}; it has: {known}",
            param="parent.step",
        )


def _unlike(name: str, mine: object, theirs: object, parent: Job) -> InvalidRequest:
    return InvalidRequest(
        f"{name}={mine!r}, but {parent.id} has {theirs!r}: a fork keeps its parent's", param=name
    )
