"""The only writer of job state beside callers' wishes: a loop of load, act, apply.

A restart in the middle of anything is an ordinary day: what is known lies in the store, the run
directory and the launcher, so a fresh supervisor goes on where the last one was killed. decide.py
says what to do, steps.py does it; each step may be repeated, and each write is guarded by id,
expected state, attempt and lease (store.py).
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from uuid import uuid4

from pydantic import ValidationError

from service.errors import VeriSQLError
from service.jobs.background import Background
from service.jobs.decide import NOTHING, Seen, Times, decide
from service.jobs.expiry import Expiry
from service.jobs.job import Job
from service.jobs.launchers.base import Launcher, Probe
from service.jobs.notes import Notes, Observer
from service.jobs.prepare import Preparer
from service.jobs.room import Room
from service.jobs.rundir import RunDir, RunError, RunStatus
from service.jobs.state import ACTIVE
from service.jobs.steps import Steps, placement
from service.jobs.store import JobStore
from service.jobs.validate import Validator
from service.settings import Settings

LEASE_S = 10.0
_CLOSE_S = 5.0
_LOG = logging.getLogger(__name__)


class Supervisor:
    """Validates, starts, watches, pauses and ends jobs; trainers outlive it."""

    def __init__(
        self,
        store: JobStore,
        launchers: Mapping[str, Launcher],
        preparer: Preparer,
        validator: Validator,
        settings: Settings,
        *,
        lease_s: float = LEASE_S,
        observe: Observer | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._times = Times(settings.cancel_grace_s, settings.retry_pause_s)
        self._lease_s = lease_s
        self._notes = Notes(observe)
        self._owner = uuid4().hex
        self._work: Background[RunError | None] = Background(self.wake)
        pause_s = max(settings.job_poll_s, settings.retry_pause_s)
        room = Room(store, self._owner, pause_s, lease_s)
        self._steps = Steps(
            store,
            launchers,
            preparer,
            validator,
            self._work,
            self._notes,
            room,
            self._owner,
            lease_s,
        )
        self._expiry = Expiry(store, settings.registered_path)
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
        await self._work.drop_all()
        with suppress(VeriSQLError):
            await self._store.release(self._owner)

    def wake(self) -> None:
        """Look now instead of after the pause: there is a new job or a new wish."""
        self._awake.set()

    async def tick(self) -> None:
        """One look at every job that needs one, then at the queue, then at what has expired."""
        for job in await self._store.claim(self._owner, lease_s=self._lease_s):
            await self._attend(job)
        while started := await self._start_next():
            await self._notes.note(started, "queued -> starting")
            await self._attend(started)
        await self._expiry.remove_what_is_due()

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
            seen = await self._look(job) if job.status in ACTIVE else NOTHING
            await self._steps.take(job, decide(job, seen, self._times, time.time()), seen)
            self._complaints.pop(job.id, None)
        except Exception as error:  # noqa: BLE001 - boundary: one job never stops the others.
            self._complain(job.id, error)

    async def _look(self, job: Job) -> Seen:
        probe = await self._steps.launcher(job).poll(placement(job), job.handle)
        # The status is read after the poll: what a dead trainer wrote last is complete.
        return await asyncio.to_thread(_seen, job, probe)

    def _complain(self, job_id: str, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if self._complaints.get(job_id) != text:  # Once, not at every look.
            _LOG.error("job %s: %s", job_id or "(all)", text, exc_info=error)
        self._complaints[job_id] = text


def _seen(job: Job, probe: Probe) -> Seen:
    run = RunDir(job.run_dir)
    tail = run.log_tail() if probe.state == "exited" else ""
    again = job.attempt > 0 and job.validated_at is not None
    was_there = again or job.status == "running" or probe.state == "exited"
    return Seen(probe, _status(run), tail, is_lost=was_there and not run.exists())


def _status(run: RunDir) -> RunStatus | None:
    try:
        return run.status()
    except (ValidationError, OSError) as error:
        _LOG.warning("%s: status.json cannot be read: %s", run.path, error)
        return None
