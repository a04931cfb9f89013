"""What a webhook says of a job; pure. Payload as the Standard Webhooks specification advises."""

from datetime import UTC, datetime
from typing import Any

import orjson

from service.jobs.job import Job
from service.jobs.outbox import Message


def message_of(job: Job, now: float) -> Message:
    """The message of the job's state; the same state of the same attempt has the same id."""
    body = {
        "type": f"train_job.{job.status}",
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat(),
        "data": _data(job),
    }
    return Message(message_id(job), job.id, orjson.dumps(body).decode())


def message_id(job: Job) -> str:
    """`job_...-ATTEMPT-STATUS`: no full stop in it, which stands between the signed parts."""
    return f"{job.id}-{job.attempt}-{job.status}"


def _data(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.spec.name,
        "status": job.status,
        "attempt": job.attempt,
        "stage": job.stage,
        "progress": job.progress,
        "best_checkpoint": job.best_checkpoint,
        "error": job.error.model_dump() if job.error else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "spec_sha256": job.spec_sha256,
        "metadata": job.spec.metadata,
    }
