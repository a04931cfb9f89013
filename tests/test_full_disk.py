"""The runs' disk is full while jobs are prepared, launched and trained: a real one, of 4 MiB."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.errors import NoDiskSpace, Unavailable
from service.jobs.again import check_resumable
from service.jobs.job import Job
from service.jobs.launchers.base import Handle, Launcher, Placement
from service.jobs.launchers.local import LocalLauncher
from service.jobs.room import Room
from service.jobs.rundir import FULL_EXIT, RunDir
from service.jobs.steps import placement
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from tests.fixtures_disk import Disk
from tests.fixtures_jobs import (
    launcher,
    new_job,
    queued,
    starts,
    supervisor_over,
    until,
    until_status,
)
from tests.fixtures_supervisor import opened

ROOT = Path(__file__).parents[1]
ROOM = 64 * 1024
LOOKS = 5


def drive_on(disk: Disk, folder: Path, places: Launcher, use: Any) -> Job:
    """Run `use` with a supervisor of runs on the small disk; the store is elsewhere."""

    async def main() -> Job:
        async with opened(folder) as store:
            supervisor = supervisor_over(store, folder, places, min_free_bytes=ROOM)
            try:
                job: Job = await use(store, supervisor)
                return job
            finally:
                await supervisor.close()

    return asyncio.run(main())


async def waits(store: JobStore, supervisor: Supervisor, job: Job) -> Job:
    """Until the job says that it waits for room, and a little longer."""

    async def seen() -> Job:
        await supervisor.tick()
        return await store.get(job.id)

    await until(seen, lambda j: "free some space" in (j.reason or ""), "a reason")
    for _ in range(LOOKS):
        await supervisor.tick()
    return await store.get(job.id)


@pytest.mark.parametrize("state", ["validating", "starting"])
def test_before_its_trainer_runs_a_job_waits_for_room(folder: Path, disk: Disk, state: str) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        new = new_job(disk.path)
        disk.fill()
        job = await (queued(store, new) if state == "starting" else store.create(new))
        waiting = await waits(store, supervisor, job)
        assert (waiting.status, waiting.error) == (state, None)
        assert not RunDir(job.run_dir).exists()
        disk.empty()
        return await until_status(store, job.id, "succeeded", "failed", ticking=supervisor)

    job = drive_on(disk, folder, launcher("train", "succeed"), use)
    assert (job.status, job.error, job.reason) == ("succeeded", None, None)
    assert (job.attempt, len(starts(job.run_dir))) == (0, 1)


def test_who_lost_the_lease_while_waiting_touches_nothing(folder: Path, disk: Disk) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await queued(store, new_job(disk.path))
        job = await store.start_next("a", lease_s=0.01, limit=9) or job
        works = 0

        async def work() -> None:
            nonlocal works
            works += 1
            raise NoDiskSpace("full: free some space")

        await asyncio.sleep(0.05)
        await store.claim("b", lease_s=60)
        with pytest.raises(Unavailable, match="another service"):
            await Room(store, "a", 0.01, 60).wait(job, work)
        assert works == 1
        return await store.get(job.id)

    job = drive_on(disk, folder, launcher("train", "succeed"), use)
    assert (job.status, job.lease_owner) == ("starting", "b")


@pytest.mark.parametrize(("wish", "end"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_job_that_waits_for_room_can_be_paused_and_cancelled(
    folder: Path, disk: Disk, wish: str, end: str
) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await queued(store, new_job(disk.path))
        disk.fill()
        await waits(store, supervisor, job)
        await (store.wish_pause if wish == "pause" else store.wish_cancel)(job.id)
        return await until_status(store, job.id, "paused", "cancelled", ticking=supervisor)

    job = drive_on(disk, folder, launcher("train", "succeed"), use)
    assert (job.status, job.reason, starts(job.run_dir)) == (end, None, [])


class FindsTheDiskFull(LocalLauncher):
    """A launch for which the disk is full, the first time: `quick` empties it at once."""

    disk: Disk
    quick: bool
    tries = 0

    async def submit(self, placement: Placement) -> Handle | None:
        self.tries += 1
        if self.tries > 1:
            return await super().submit(placement)
        self.disk.fill()
        if not self.quick:
            return await super().submit(placement)
        try:
            RunDir(self.disk.path).append_event("info", "probe", "x" * 8192)
        except OSError as error:
            raise NoDiskSpace(str(error)) from error
        finally:
            self.disk.empty()
        raise AssertionError("the disk was not full")


@pytest.mark.parametrize("quick", [True, False])
def test_a_launch_that_finds_the_disk_full_is_repeated_or_else_said(
    folder: Path, disk: Disk, quick: bool
) -> None:
    local = FindsTheDiskFull(launcher("train", "succeed")._command)
    local.disk, local.quick = disk, quick

    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await queued(store, new_job(disk.path))
        ended = await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)
        if quick:
            return ended
        # The process could not even note its id: it left before it became a trainer.
        assert ended.error
        assert (ended.error.code, starts(job.run_dir)) == ("no_disk_space", [])
        disk.empty()
        assert await store.resume(ended)
        return await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)

    job = drive_on(disk, folder, local, use)
    assert (job.status, job.error, len(starts(job.run_dir))) == ("succeeded", None, 1)
    assert (job.attempt, local.tries) == (0 if quick else 1, 2)


@pytest.mark.parametrize("moment", ["checkpoint", "status"])
def test_a_trainer_that_fills_the_disk_fails_its_job_which_is_resumed(
    folder: Path, disk: Disk, moment: str
) -> None:
    program = Path(__file__).with_name("filling_trainer.py")

    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await queued(store, new_job(disk.path))
        disk.fill(leave_bytes=512 * 1024)
        failed = await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)
        assert failed.error
        assert (failed.error.code, failed.attempt) == ("no_disk_space", 0)
        assert "free some space" in failed.error.message
        assert RunDir(job.run_dir).checkpoints() == []
        said = RunDir(job.run_dir).status()
        assert said
        assert said.state == ("failed" if moment == "checkpoint" else "running")
        check_resumable(failed)
        disk.empty()
        assert await store.resume(failed)
        return await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)

    local = LocalLauncher([sys.executable, str(program), moment])
    job = drive_on(disk, folder, local, use)
    assert (job.status, job.error, job.attempt) == ("succeeded", None, 1)
    assert RunDir(job.run_dir).checkpoints() == [1]
    assert len(starts(job.run_dir)) == 2


@pytest.mark.parametrize("moment", ["checkpoint", "status"])
def test_a_trainer_that_fills_the_stores_disk_as_well_fails_its_job_truly(
    disk: Disk, moment: str
) -> None:
    program = Path(__file__).with_name("filling_trainer.py")
    local = LocalLauncher([sys.executable, str(program), moment])

    async def main() -> Job:
        async with opened(disk.path) as store:
            supervisor = supervisor_over(store, disk.path, local, min_free_bytes=ROOM)
            job = await queued(store, new_job(disk.path))
            disk.fill(leave_bytes=768 * 1024)

            async def seen() -> Job:
                with suppress(NoDiskSpace):
                    await supervisor.tick()
                if (await local.poll(placement(job), None)).state == "exited":
                    disk.empty()  # Whoever looks after the machine does that, sooner or later.
                return await store.get(job.id)

            failed = await until(seen, lambda j: j.status in ("failed", "succeeded"), "its end")
            await supervisor.close()
            return failed

    job = asyncio.run(main())
    assert job.error
    assert (job.status, job.error.code, job.attempt) == ("failed", "no_disk_space", 0)
    assert len(starts(job.run_dir)) == 1


def test_a_driver_in_a_ray_cluster_says_by_its_code_that_the_disk_is_full(disk: Disk) -> None:
    disk.fill()
    command = [sys.executable, "-m", "trainer.scale.on_ray", "--run-dir", str(disk.path)]
    ended = subprocess.run([*command, "--", "never"], cwd=ROOT, check=False, timeout=60)
    assert ended.returncode == FULL_EXIT
    assert {path.name for path in disk.path.iterdir()} == {"ballast", "lock"}


def test_a_row_that_a_full_disk_cut_short_harms_no_other(disk: Disk) -> None:
    run = RunDir(disk.path)
    run.append_metrics({"step": 1})
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        run.append_metrics({"step": 2, "text": "x" * 8192})
    disk.empty()
    run.append_metrics({"step": 3})
    assert [row.get("step") for row in run.metrics()] == [1, None, 3]
    run.keep_steps(3)
    assert [row["step"] for row in run.metrics()] == [1, 3]


def test_a_status_that_does_not_fit_leaves_the_last_one_and_no_rest(disk: Disk) -> None:
    run = RunDir(disk.path)
    run.begin_attempt()
    (disk.path / "status.json").write_text('{"state": "running", "step": 3}')
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        run.begin_attempt()
    seen = run.status()
    assert seen
    assert (seen.state, seen.step) == ("running", 3)
    assert sorted(p.name for p in disk.path.iterdir()) == ["ballast", "status.json"]
