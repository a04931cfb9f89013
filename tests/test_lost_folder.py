"""The folder of a run is gone: what becomes of its job, by the state that it was in."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest

from service.errors import Conflict
from service.jobs.checks import Checks
from service.jobs.intake import Jobs
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.text2sql.databases import DatabaseRegistry
from tests.fixtures_jobs import (
    launcher,
    new_job,
    starts,
    supervisor_over,
    until,
    until_status,
)
from tests.fixtures_supervisor import drive, opened, running

RUNS = ("heed", "train", "wait", "succeed")


def lose(job: Job) -> list[int]:
    """Remove the folder; gives the trainers that were started in it."""
    started = starts(job.run_dir)
    shutil.rmtree(job.run_dir)
    return started


def end(pids: list[int]) -> None:
    """Kill them: `end_trainers` cannot find those whose folder is gone."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


async def paused(store: JobStore, supervisor: Supervisor, folder: Path) -> Job:
    job = await running(store, supervisor, folder)
    await store.wish_pause(job.id)
    return await until_status(store, job.id, "paused", ticking=supervisor)


def test_a_queued_job_of_which_nothing_ran_is_prepared_anew(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        first = await store.create(new_job(folder))
        await until_status(store, first.id, "running", ticking=supervisor)
        second = await store.create(new_job(folder))
        await until_status(store, second.id, "queued", ticking=supervisor)
        assert RunDir(second.run_dir).exists()
        assert lose(second) == []
        (first.run_dir / "go").touch()
        await until_status(store, second.id, "running", ticking=supervisor)
        (second.run_dir / "go").touch()
        return await until_status(store, second.id, "succeeded", "failed", ticking=supervisor)

    job = drive(folder, ("train", "until_told", "succeed"), use)
    assert (job.status, job.error, job.attempt) == ("succeeded", None, 0)
    assert len(starts(job.run_dir)) == 1


def test_a_job_that_waits_for_its_retry_is_not_trained_anew_from_nothing(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))

        async def look() -> Job:
            await supervisor.tick()
            return await store.get(job.id)

        await until(look, lambda j: (j.status, j.attempt) == ("queued", 1), "a retry")
        assert len(lose(job)) == 1
        return await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)

    job = drive(folder, ("train", "die"), use, retry_pause_s=0.3)
    assert job.error
    assert (job.error.code, job.attempt, starts(job.run_dir)) == ("run_lost", 1, [])


def test_a_running_job_ends_as_lost_once_its_trainer_has_ended(folder: Path) -> None:
    async def main() -> Job:
        async with opened(folder) as store:
            first = supervisor_over(store, folder, launcher(*RUNS), lease_s=0)
            job = await running(store, first, folder)
            pids = lose(job)
            # Nor does a service that was started anew take it for gone while it lives.
            second = supervisor_over(store, folder, launcher(*RUNS))
            for _ in range(3):
                await second.tick()
            assert (await store.get(job.id)).status == "running"
            end(pids)
            failed = await until_status(store, job.id, "failed", "queued", ticking=second)
            with pytest.raises(Conflict, match="is gone"):
                await jobs_of(store, folder).resume(job.id)
            return failed

    job = asyncio.run(main())
    assert job.error
    assert (job.error.code, job.attempt, starts(job.run_dir)) == ("run_lost", 0, [])


@pytest.mark.parametrize(("wish", "state"), [("cancel", "cancelled"), ("pause", "failed")])
def test_a_running_job_without_a_folder_is_still_cancelled_but_nothing_is_left_to_pause(
    folder: Path, wish: str, state: str
) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, list[int]]:
        job = await running(store, supervisor, folder)
        pids = lose(job)
        await (store.wish_cancel if wish == "cancel" else store.wish_pause)(job.id)
        ends = ("cancelled", "paused", "failed")
        return await until_status(store, job.id, *ends, ticking=supervisor), pids

    job, pids = drive(folder, RUNS, use)
    assert job.status == state
    assert (job.error and job.error.code) == (None if wish == "cancel" else "run_lost")
    assert not Path(f"/proc/{pids[0]}").exists()


def jobs_of(store: JobStore, folder: Path) -> Jobs:
    """The callers' side."""
    checks = Checks(DatabaseRegistry.scan([]), [], folder / "models", folder / "runs")
    return Jobs(store, checks, folder / "runs", lambda: None)


def test_a_paused_job_stays_paused_and_can_only_be_cancelled(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await paused(store, supervisor, folder)
        lose(job)
        jobs = jobs_of(store, folder)
        with pytest.raises(Conflict, match="is gone"):
            await jobs.resume(job.id)
        await supervisor.tick()
        assert (await jobs.get(job.id)).status == "paused"
        assert (await jobs.metrics(job.id, after=0, limit=9)).data == []
        await jobs.cancel(job.id)
        return await until_status(store, job.id, "cancelled", ticking=supervisor)

    assert drive(folder, RUNS, use).error is None
