"""The only writer of job state after creation: a loop of load, act, apply.

A restart in the middle of anything is an ordinary day: what is known lies in the store, the run
directory and the launcher, so a fresh supervisor goes on where the last one was killed. Each step
may be repeated, and each write is guarded by id, expected state and lease (store.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from uuid import uuid4

from pydantic import ValidationError

from service.errors import Unavailable, VeriSQLError
from service.jobs.decide import Finish, Launch, Record, Seen, Stop, decide
from service.jobs.job import Changes, Job
from service.jobs.launchers.base import Launcher, Placement
from service.jobs.prepare import Preparer, in_own_thread
from service.jobs.rundir import RunDir, RunError, RunStatus
from service.jobs.state import TERMINAL
from service.jobs.store import JobStore
from service.settings import Settings

LEASE_S = 10.0
Observer = Callable[[str], Awaitable[None]]
"""Is told the id of a job whose state has been written."""
_CLOSE_S = 5.0
_LOG = logging.getLogger(__name__)


class Supervisor:
    """Starts, watches and ends jobs; trainers outlive it."""

    def __init__(
        self,
        store: JobStore,
        launchers: Mapping[str, Launcher],
        preparer: Preparer,
        settings: Settings,
        *,
        lease_s: float = LEASE_S,
        observe: Observer | None = None,
    ) -> None:
        self._store = store
        self._launchers = launchers
        self._preparer = preparer
        self._settings = settings
        self._lease_s = lease_s
        self._observe = observe
        self._owner = uuid4().hex
        self._preparing: dict[str, asyncio.Task[None]] = {}
        self._complaints: dict[str, str] = {}
        self._awake = asyncio.Event()
        self._closing = False
        self._loop: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why the last look at the jobs failed as a whole; None if it did not."""
        return self._complaints.get("")

    async def start(self) -> None:
        """Adopt what is there and go on until `close`."""
        self._loop = asyncio.create_task(self._run(), name="supervisor")

    async def close(self) -> None:
        """Stop looking, give up the leases; running trainers go on."""
        self._closing = True
        self._awake.set()
        if self._loop is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._loop, _CLOSE_S)
        for job_id in list(self._preparing):
            await self._drop_preparation(job_id)
        with suppress(VeriSQLError):
            await self._store.release(self._owner)

    def wake(self) -> None:
        """Look now instead of after the pause: there is a new job or a new wish."""
        self._awake.set()

    async def tick(self) -> None:
        """One look at every job that needs one, then at the queue."""
        for job in await self._store.claim(self._owner, lease_s=self._lease_s):
            await self._attend(job)
        while started := await self._start_next():
            await self._note(started, "queued -> starting")
            await self._attend(started)

    async def _start_next(self) -> Job | None:
        limit = self._settings.max_running_jobs
        return await self._store.start_next(self._owner, lease_s=self._lease_s, limit=limit)

    async def _run(self) -> None:
        while not self._closing:
            self._awake.clear()
            try:
                await self.tick()
                self._complaints.pop("", None)
            except Exception as error:  # noqa: BLE001 - boundary: the loop outlives any failure.
                self._complain("", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), self._settings.job_poll_s)

    async def _attend(self, job: Job) -> None:
        try:
            await self._advance(job)
            self._complaints.pop(job.id, None)
        except Exception as error:  # noqa: BLE001 - boundary: one job never stops the others.
            self._complain(job.id, error)

    async def _advance(self, job: Job) -> None:
        if job.status == "queued":  # Claimed only if it is to be cancelled.
            return await self._finish(job, Finish("cancelled"))
        seen = await self._look(job)
        action = decide(job, seen, now=time.time(), grace_s=self._settings.cancel_grace_s)
        match action:
            case Launch():
                await self._launch(job)
            case Stop(force):
                await self._stop(job, force)
            case Finish():
                await self._finish(job, action, seen)
            case Record(changes):
                await self._record(job, changes)

    async def _look(self, job: Job) -> Seen:
        probe = await self._launcher(job).poll(_placement(job), job.handle)
        run = RunDir(job.run_dir)
        # The status is read after the poll: what a dead trainer wrote last is complete.
        status = await asyncio.to_thread(_status, run)
        tail = await asyncio.to_thread(run.log_tail) if probe.state == "exited" else ""
        return Seen(probe, status, tail)

    async def _launch(self, job: Job) -> None:
        task = self._preparing.get(job.id)
        if task is None:
            task = asyncio.create_task(in_own_thread(partial(self._preparer.prepare, job)))
            task.add_done_callback(lambda _: self.wake())
            self._preparing[job.id] = task
        if not task.done():
            return
        del self._preparing[job.id]
        try:
            task.result()
            handle = await self._launcher(job).submit(_placement(job))
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - boundary: a job that cannot start has failed.
            return await self._finish(job, Finish("failed", _why_not_started(error)))
        if handle is not None and not await self._store.update(job, self._owner, handle=handle):
            await self._undo_if_ended(job)

    async def _undo_if_ended(self, job: Job) -> None:
        # Our lease ran out while we launched. Whoever took over may have ended the job, or may
        # have adopted this very process.
        if (await self._store.get(job.id)).status in TERMINAL:
            await self._launcher(job).cancel(_placement(job), None, force=True)

    async def _stop(self, job: Job, force: bool) -> None:
        await self._launcher(job).cancel(_placement(job), job.handle, force=force)
        if not force:
            # Noted after the signal: a crash between the two repeats it, which harms nothing.
            await self._store.update(job, self._owner, stopping_since=time.time())
            await self._note(job, f"told to end: {'cancelled' if job.wish else 'deadline passed'}")

    async def _finish(self, job: Job, end: Finish, seen: Seen | None = None) -> None:
        await self._drop_preparation(job.id)
        if job.status != "queued":
            # What the trainer started may be left behind.
            await self._launcher(job).cancel(_placement(job), job.handle, force=True)
        changes: Changes = {"status": end.state, "error": end.error, "eta_s": None}
        changes["finished_at"] = time.time()
        if seen and seen.status:
            changes["stage"] = seen.status.stage
            changes["progress"] = 1.0 if end.state == "succeeded" else seen.status.progress
            changes["best_checkpoint"] = seen.status.best_checkpoint
        if await self._store.update(job, self._owner, **changes):
            self._complaints.pop(job.id, None)
            await self._note(job, f"{job.status} -> {end.state}", end.error)

    async def _record(self, job: Job, changes: Changes) -> None:
        written = bool(changes) and await self._store.update(job, self._owner, **changes)
        if written and "status" in changes:
            await self._note(job, f"{job.status} -> {changes['status']}")

    async def _drop_preparation(self, job_id: str) -> None:
        task = self._preparing.pop(job_id, None)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # Looked at, so that asyncio does not report it as forgotten.

    async def _note(self, job: Job, message: str, error: RunError | None = None) -> None:
        _LOG.info("job %s: %s", job.id, message)
        try:
            await asyncio.to_thread(_append_event, job, message, error)
        except OSError as reason:
            _LOG.warning("job %s: the event %r cannot be written: %s", job.id, message, reason)
        if self._observe is not None:
            try:
                await self._observe(job.id)
            except VeriSQLError as reason:
                _LOG.warning("job %s: %r cannot be announced: %s", job.id, message, reason)

    def _launcher(self, job: Job) -> Launcher:
        return self._launchers[job.spec.launcher]

    def _complain(self, job_id: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if self._complaints.get(job_id) != text:  # Once, not at every look.
            _LOG.error("job %s: %s", job_id or "(all)", text, exc_info=error)
        self._complaints[job_id] = text


def _placement(job: Job) -> Placement:
    return Placement(job.id, job.run_dir, job.spec.resources)


def _status(run: RunDir) -> RunStatus | None:
    try:
        return run.status()
    except (ValidationError, OSError) as error:
        _LOG.warning("%s: status.json cannot be read: %s", run.path, error)
        return None


def _append_event(job: Job, message: str, error: RunError | None) -> None:
    job.run_dir.mkdir(parents=True, exist_ok=True)
    level = "error" if error else "info"
    data = {"error": error.model_dump()} if error else {}
    RunDir(job.run_dir).append_event(level, "state", message, **data)


def _why_not_started(error: Exception) -> RunError:
    if isinstance(error, VeriSQLError):
        return RunError(code=error.code, message=error.message, param=error.param)
    _LOG.error("a run cannot be started", exc_info=error)
    return RunError(code=VeriSQLError.code, message=f"{type(error).__name__}: {error}")
