"""Carries out what decide.py decided. Each step may be repeated after a crash at any point.

A launcher is called before the row is written: a crash between the two repeats the call, which
harms nothing, while the other order would forget a run that still holds its machine.
"""

import logging
import time
from collections.abc import Mapping
from functools import partial

from service.errors import NoDiskSpace, Unavailable, VeriSQLError
from service.jobs.background import Background
from service.jobs.decide import Action, Finish, Launch, Park, Record, Retry, Seen, Stop, Validate
from service.jobs.job import Changes, Job
from service.jobs.launchers.base import Launcher, Placement
from service.jobs.notes import Notes
from service.jobs.prepare import Preparer, in_own_thread
from service.jobs.room import Room
from service.jobs.rundir import RunDir, RunError
from service.jobs.state import ACTIVE
from service.jobs.store import JobStore
from service.jobs.validate import Validator

_LOG = logging.getLogger(__name__)


class Steps:
    """What `owner`, while it holds a job's lease, does to it."""

    def __init__(
        self,
        store: JobStore,
        launchers: Mapping[str, Launcher],
        preparer: Preparer,
        validator: Validator,
        work: Background[RunError | None],
        notes: Notes,
        room: Room,
        owner: str,
        lease_s: float,
    ) -> None:
        self._store = store
        self._launchers = launchers
        self._preparer = preparer
        self._validator = validator
        self._work = work
        self._notes = notes
        self._room = room
        self._owner = owner
        self._lease_s = lease_s

    async def take(self, job: Job, action: Action, seen: Seen) -> None:
        """Do it; raises Unavailable, and whatever a launcher or the store raises."""
        match action:
            case Validate():
                await self._validate(job)
            case Launch():
                await self._launch(job)
            case Stop(force):
                await self._stop(job, force)
            case Finish() | Park() | Retry():
                await self._leave(job, action, seen)
            case Record(changes):
                await self._record(job, changes)

    def launcher(self, job: Job) -> Launcher:
        """Where the job runs; raises Unavailable if the service is not set up for it any more."""
        if found := self._launchers.get(job.spec.launcher):
            return found
        known = ", ".join(self._launchers)
        raise Unavailable(f"the launcher {job.spec.launcher!r} is not set up here, only {known}")

    async def _validate(self, job: Job) -> None:
        task = self._work.ended(job.id, partial(self._room.wait, job, partial(self._look, job)))
        if task is None:
            return
        try:
            error = task.result()
        except Unavailable:
            raise
        except Exception as reason:  # noqa: BLE001 - boundary: a job that cannot be looked at.
            error = _why(reason)
        if error is not None:
            return await self._leave(job, Finish("failed", error), None)
        await self._record(job, {"status": "queued", "validated_at": time.time(), "reason": None})

    async def _look(self, job: Job) -> RunError | None:
        await self._prepare(job)
        return await self._validator.look(RunDir(job.run_dir))

    async def _prepare(self, job: Job) -> RunError | None:
        parent = await self._store.get(job.parent_id) if job.parent_id else None
        folder = parent.run_dir if parent else None
        await in_own_thread(partial(self._preparer.prepare, job, parent=folder))
        return None

    async def _launch(self, job: Job) -> None:
        task = self._work.ended(job.id, partial(self._room.wait, job, partial(self._prepare, job)))
        if task is None:
            return
        try:
            task.result()
            # The lease may have run out meanwhile: whoever has it launches, and nobody else.
            if not await self._store.hold(job, self._owner, lease_s=self._lease_s):
                return
            handle = await self.launcher(job).submit(placement(job))
        except (Unavailable, NoDiskSpace):
            raise  # Not the job's fault, and tried again at the next look.
        except Exception as error:  # noqa: BLE001 - boundary: a job that cannot start has failed.
            return await self._leave(job, Finish("failed", _why(error)), None)
        if handle is not None and not await self._store.update(job, self._owner, handle=handle):
            await self._undo_if_over(job)

    async def _undo_if_over(self, job: Job) -> None:
        # Our lease ran out while we launched. Whoever took over may have ended this attempt, or
        # may have adopted this very process.
        now = await self._store.get(job.id)
        if now.status not in ACTIVE or now.attempt != job.attempt:
            await self.launcher(job).cancel(placement(job), None, force=True)

    async def _stop(self, job: Job, force: bool) -> None:
        await self.launcher(job).cancel(placement(job), job.handle, force=force)
        if not force:
            await self._store.update(job, self._owner, stopping_since=time.time())
            await self._notes.note(
                job, f"told to end: {_TOLD.get(job.wish or '', 'deadline passed')}"
            )

    async def _leave(self, job: Job, way: Finish | Park | Retry, seen: Seen | None) -> None:
        """The attempt is over, or never was: free what it holds, then say what the job is now."""
        await self._work.drop(job.id)
        if job.status in ACTIVE:
            # What the trainer started may be left behind.
            await self.launcher(job).cancel(placement(job), job.handle, force=True)
        changes = after(job, way, seen, time.time())
        if await self._store.update(job, self._owner, **changes):
            error = way.error if isinstance(way, Finish) else None
            why = f": {way.why}" if isinstance(way, Retry) else ""
            await self._notes.note(job, f"{job.status} -> {changes['status']}{why}", error)

    async def _record(self, job: Job, changes: Changes) -> None:
        written = bool(changes) and await self._store.update(job, self._owner, **changes)
        if written and "status" in changes:
            await self._notes.note(job, f"{job.status} -> {changes['status']}")


_TOLD = {"cancel": "cancelled", "pause": "paused"}


def placement(job: Job) -> Placement:
    """The job's attempt, as launchers see it."""
    return Placement(job.id, job.run_dir, job.spec.resources, job.attempt)


def after(job: Job, way: Finish | Park | Retry, seen: Seen | None, now: float) -> Changes:
    """What the row says once an attempt is over; pure."""
    changes: Changes = {"eta_s": None, "reason": None, "attempt_started_at": None}
    changes["active_s"] = job.held_s(now)
    if seen and seen.status:
        changes["stage"] = seen.status.stage
        changes["progress"] = seen.status.progress
        changes["best_checkpoint"] = seen.status.best_checkpoint
    match way:
        case Finish(state, error):
            ttl_s = job.spec.ttl_s
            changes |= {"status": state, "error": error, "finished_at": now}
            changes["expires_at"] = None if ttl_s is None else now + ttl_s
            if state == "succeeded":
                changes["progress"] = 1.0
        case Park():
            changes |= {"status": "paused", "wish": None, "handle": None, "stopping_since": None}
        case Retry(not_before, why):
            changes |= {"status": "queued", "handle": None, "stopping_since": None}
            changes |= {"attempt": job.attempt + 1, "retries_left": job.retries_left - 1}
            changes |= {"not_before": not_before, "reason": why}
    return changes


def _why(error: Exception) -> RunError:
    if isinstance(error, VeriSQLError):
        return RunError(code=error.code, message=error.message, param=error.param)
    _LOG.error("a run cannot be started", exc_info=error)
    return RunError(code=VeriSQLError.code, message=f"{type(error).__name__}: {error}")
