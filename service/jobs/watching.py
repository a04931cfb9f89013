"""Watching a job: one look at its row and its files, shared by all who watch it.

It ends with a terminal state; a failed job that is resumed is watched anew.

However many watch, the store is asked once and three files are looked at once in each pause. A
watcher reads a file only where it has changed, from where it had got to (following.py).
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.state import TERMINAL

QUIET_S = 15.0
_SETTLED_S = 5.0
_LOG = logging.getLogger(__name__)

Stamps = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    job: Job
    stamps: Stamps
    """Inode and size of the run's files."""
    settled: bool
    """The job is over, and what was still to be written about it has been."""


class Watched:
    """One job that is watched."""

    def __init__(self, job: Job) -> None:
        self.look = Look(job, (), _ended_long_ago(job))
        self.watchers = 0
        self.looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def after(self, look: Look, within_s: float) -> Look:
        """The newest look, waited for if it still is `look`, but not longer than `within_s`."""
        if self.look is look:
            try:
                async with asyncio.timeout(within_s):
                    await self._news.wait()
            except TimeoutError:
                pass
        return self.look

    def see(self, job: Job, stamps: Stamps) -> None:
        """Tell the watchers if anything is new."""
        before = self.look
        settled = job.status in TERMINAL and (before.job.status in TERMINAL or _ended_long_ago(job))
        if (job.status, stamps, settled) != (before.job.status, before.stamps, before.settled):
            self.look = Look(job, stamps, settled)
            news, self._news = self._news, asyncio.Event()
            news.set()


class Watching:
    """All jobs that are watched. `look` gives a job's row, `pause_s` lies between two looks.

    `quiet_s` is how long a stream stays silent before it says that it still is there.
    """

    def __init__(
        self, look: Callable[[str], Awaitable[Job]], pause_s: float, quiet_s: float = QUIET_S
    ) -> None:
        self._look = look
        self._pause_s = pause_s
        self.quiet_s = quiet_s
        self._jobs: dict[str, Watched] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    @asynccontextmanager
    async def join(self, job: Job) -> AsyncIterator[Watched]:
        """Watch with the others; looking ends with the last one's leaving."""
        watched = self._jobs.setdefault(job.id, Watched(job))
        watched.watchers += 1
        if watched.looking is None:
            watched.looking = asyncio.create_task(self._keep_looking(watched))
        try:
            yield watched
        finally:
            watched.watchers -= 1
            if not watched.watchers:
                del self._jobs[job.id]
                watched.looking.cancel()

    async def _keep_looking(self, watched: Watched) -> None:
        job_id, complaint = watched.look.job.id, ""
        while True:
            # Also before the first look: a job that was seen to end just now is being noted.
            await asyncio.sleep(self._pause_s)
            try:
                # The row first: what a job that is over has left is complete.
                job = await self._look(job_id)
                watched.see(job, await asyncio.to_thread(_stamps, job.run_dir))
                complaint = ""
            except (VeriSQLError, OSError) as error:
                if complaint != (complaint := str(error)):  # once, not at every look
                    _LOG.warning("job %s cannot be looked at: %s", job_id, error)


def _ended_long_ago(job: Job) -> bool:
    return job.status in TERMINAL and time.time() > (job.finished_at or 0) + _SETTLED_S


def _stamps(folder: Path) -> Stamps:
    run = RunDir(folder)
    return tuple(_stamp(path) for path in (run.metrics_path, run.events_path, run.log_path))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except FileNotFoundError:
        return None
    return state.st_ino, state.st_size
