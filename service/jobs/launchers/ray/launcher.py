"""Places trainers on a Ray cluster.

A launch is a submission to Ray's Jobs API under the launch's name, and Ray takes each name once, so
a repeated submit is harmless. The submission is a driver (trainer/scale/on_ray.py): it reserves the
machines, starts a part of the run on each and notes in the run's folder where it stands. The folder
is on storage that service and nodes share, under one path.

Two trainers in one folder: the trainer holds the folder's lock while it lives, a driver waits until
the lock is free. What an earlier cluster started is told by the note, so that a Ray that was
started anew and knows nothing does not look as if nothing had been launched.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from service.errors import VeriSQLError
from service.jobs.driver import DriverNote, kill_path, read_note
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.launchers.locking import is_locked
from service.jobs.launchers.ray.client import RayJobs
from service.jobs.launchers.ray.seen import probe
from service.jobs.launchers.ray.submission import Program, submission
from service.jobs.rundir import RunDir


class RayLauncher:
    """The contract of base.py on one Ray cluster; `close` lets go of its connections."""

    def __init__(self, jobs: RayJobs, program: Program) -> None:
        self._jobs = jobs
        self._program = program

    async def submit(self, placement: Placement) -> Handle | None:
        """Submit the driver unless this launch was ever submitted."""
        if not await self._was_launched(placement):
            await self._submit(placement)
        return _handle(placement)

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        """Ask Ray, then read the driver's note: what a dead driver wrote last is complete."""
        del handle
        details = await self._jobs.find(placement.launch_name)
        note = await _note(placement)
        locked = details is None and await asyncio.to_thread(_locked, placement.run_dir)
        return _found(probe(details, note, locked=locked), placement)

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        """SIGTERM to the driver, which hands it on; with `force` the driver kills what it started.

        Force also works while Ray does not answer: the order is a file.
        """
        del handle
        if force and await self._was_launched(placement):
            kill = kill_path(placement.run_dir, placement.attempt)
            with suppress(OSError):  # The folder is gone, or its disk is full: Ray ends the driver.
                await asyncio.to_thread(kill.touch)
        await self._jobs.stop(placement.launch_name)

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        """The end of trainer.log; before the trainer wrote any, what Ray has of the driver's."""
        del handle
        written = await asyncio.to_thread(RunDir(placement.run_dir).log_tail, max_bytes)
        if written:
            return written
        said = (await self._jobs.logs(placement.launch_name)).encode()
        return said[max(0, len(said) - max_bytes) :].decode(errors="ignore").strip()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._jobs.close()

    async def _was_launched(self, placement: Placement) -> bool:
        noted = await _note(placement) is not None
        return noted or await self._jobs.find(placement.launch_name) is not None

    async def _submit(self, placement: Placement) -> None:
        try:
            await self._jobs.submit(submission(placement, self._program))
        except VeriSQLError:
            # Another replica may have been faster: Ray answers the second with an error.
            if await self._jobs.find(placement.launch_name) is None:
                raise


async def _note(placement: Placement) -> DriverNote | None:
    return await asyncio.to_thread(read_note, placement.run_dir, placement.attempt)


def _handle(placement: Placement) -> Handle:
    return {"submission_id": placement.launch_name}


def _found(seen: Probe, placement: Placement) -> Probe:
    if seen.state == "absent":
        return seen
    return replace(seen, handle=_handle(placement))


def _locked(run_dir: Path) -> bool:
    return is_locked(RunDir(run_dir).lock_path)
