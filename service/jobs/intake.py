"""What callers can do with training jobs: create, look, pause, resume, cancel.

It records wishes, no more; a resume puts the job back into the queue.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest, InvalidTransition, UnknownJob
from service.jobs.again import check_fork, check_going, check_resumable
from service.jobs.checks import Checks
from service.jobs.job import Job, NewJob, new_job_id
from service.jobs.notes import Notes, Observer
from service.jobs.rundir import Checkpoint, RunDir
from service.jobs.spec import JobSpec, Parent
from service.jobs.state import RESUMABLE, TERMINAL, JobState
from service.jobs.store import JobStore

TAIL_BYTES = 1_048_576
"""Of a log's end, when its last lines are asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a series. `next` is the cursor to go on from: pass it as `after`."""

    data: Sequence[Any]
    next: int


class Jobs:
    """Training jobs as the API sees them.

    `wake` is called when there is something new for the supervisor, `observe` when a state has been
    written here. Methods that take an id raise
    UnknownJob; all raise NoDiskSpace or Unavailable when the store fails.
    """

    def __init__(
        self,
        store: JobStore,
        checks: Checks,
        runs_dir: Path,
        wake: Callable[[], None],
        observe: Observer | None = None,
    ) -> None:
        self._store = store
        self._checks = checks
        self._runs_dir = runs_dir
        self._wake = wake
        self._notes = Notes(observe)

    async def create(self, spec: JobSpec, idempotency_key: str | None = None) -> Job:
        """Check what can be checked at once, then create it; a key seen before gives back its job.

        The supervisor looks deeper before it queues the job. Raises what checks.Checks.check and
        again.check_fork do, and Conflict for a key with another body.
        """
        asked = _sha256(spec.model_dump(mode="json", exclude_unset=True))
        # First, since a repeated request must not fail on what has changed meanwhile.
        if earlier := await self._store.replay(idempotency_key, asked):
            return earlier
        await asyncio.to_thread(self._checks.check, spec)
        if spec.parent:
            await asyncio.to_thread(check_fork, spec, await self._parent(spec.parent))
        job_id = new_job_id()
        job = await self._store.create(
            NewJob(
                id=job_id,
                spec=spec,
                spec_sha256=_sha256(spec.model_dump(mode="json")),
                run_dir=self._runs_dir / job_id,
                request_sha256=asked,
                idempotency_key=idempotency_key,
            )
        )
        await self._notes.announce(job)
        self._wake()
        return job

    async def get(self, job_id: str) -> Job:
        """One job."""
        return await self._store.get(job_id)

    async def page(
        self, *, limit: int, after: str | None = None, status: JobState | None = None
    ) -> tuple[list[Job], bool]:
        """Up to `limit` jobs, newest first, older than `after`; and whether there are more."""
        found = await self._store.page(limit=limit + 1, after=after, status=status)
        return found[:limit], len(found) > limit

    async def cancel(self, job_id: str) -> Job:
        """Wish for the end of a job; one that has ended stays as it is."""
        job = await self._store.wish_cancel(job_id)
        self._wake()
        return job

    async def pause(self, job_id: str) -> Job:
        """Wish that the job stops and keeps its checkpoints; one that is paused stays as it is.

        Raises InvalidTransition for a job that has ended or is to be cancelled.
        """
        job = await self._store.wish_pause(job_id)
        if job.status in TERMINAL:
            raise InvalidTransition(f"{job.id} is {job.status}: there is nothing to pause")
        if job.wish == "cancel":
            raise InvalidTransition(f"{job.id} is being cancelled: it cannot be paused")
        self._wake()
        return job

    async def resume(self, job_id: str) -> Job:
        """Queue a paused or failed job anew; it goes on from its newest checkpoint.

        One that waits or runs already is answered unchanged. Raises InvalidTransition for any other
        job, and Conflict for one whose run folder is gone.
        """
        job = await self._store.get(job_id)
        if job.status in RESUMABLE:
            await asyncio.to_thread(check_resumable, job)
            if await self._store.resume(job):
                await self._notes.note(job, f"{job.status} -> queued")
            job = await self._store.get(job_id)
        check_going(job)
        self._wake()
        return job

    async def metrics(self, job_id: str, *, after: int, limit: int) -> Page:
        """Rows of numbers, one a step; the cursor counts rows."""
        run = await self._run(job_id)
        rows = await asyncio.to_thread(run.metrics, after, limit)
        return Page(rows, after + len(rows))

    async def events(self, job_id: str, *, after: int, limit: int) -> Page:
        """What happened, in order; the cursor counts events."""
        run = await self._run(job_id)
        rows = await asyncio.to_thread(run.events, after, limit)
        return Page(rows, after + len(rows))

    async def logs(self, job_id: str, *, after: int, max_bytes: int) -> Page:
        """Lines that the trainer printed; the cursor counts bytes.

        An unfinished last line is held back while the job may still complete it.
        """
        job = await self._store.get(job_id)
        read = RunDir(job.run_dir).log
        final = job.status in TERMINAL
        return Page(*await asyncio.to_thread(read, after, max_bytes, final=final))

    async def log_start(self, job_id: str, lines: int) -> int:
        """The cursor with which the last `lines` lines of the log begin; at most 1 MiB of them."""
        job = await self._store.get(job_id)
        start = RunDir(job.run_dir).log_start
        final = job.status in TERMINAL
        return await asyncio.to_thread(start, lines, TAIL_BYTES, final=final)

    async def checkpoints(self, job_id: str) -> list[Checkpoint]:
        """Complete checkpoints, first to last."""
        run = await self._run(job_id)
        return await asyncio.to_thread(run.checkpoint_list)

    async def _parent(self, parent: Parent) -> Job:
        try:
            return await self._store.get(parent.job_id)
        except UnknownJob as error:
            raise InvalidRequest(error.message, param="parent.job_id") from error

    async def _run(self, job_id: str) -> RunDir:
        return RunDir((await self._store.get(job_id)).run_dir)


def _sha256(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
