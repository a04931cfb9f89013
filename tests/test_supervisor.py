"""The supervisor, with a real store, real run directories and real processes."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import Unavailable
from service.jobs.job import Job
from service.jobs.launchers.base import Handle, Placement, Probe
from service.jobs.rundir import RunDir
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from tests.fixtures_jobs import (
    launcher,
    new_job,
    queued,
    starts,
    supervisor_over,
    until,
    until_status,
)
from tests.fixtures_supervisor import drive, opened, running, states_told

RUNS = ("heed", "train", "wait")


def test_a_job_runs_to_success_and_its_progress_is_seen(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, Job]:
        job = await store.create(new_job(folder))
        half = await until_status(store, job.id, "running", ticking=supervisor)
        (job.run_dir / "go").touch()
        return half, await until_status(store, job.id, "succeeded", ticking=supervisor)

    half, done = drive(folder, ("train", "until_told", "succeed"), use)
    assert (half.progress, half.eta_s, half.stage, half.finished_at) == (0.5, 5.0, "grpo", None)
    assert (done.progress, done.eta_s, done.best_checkpoint, done.error) == (1.0, None, 1, None)
    assert done.created_at < (done.started_at or 0) < (done.finished_at or 0)
    assert states_told(done) == [
        "validating -> queued",
        "queued -> starting",
        "starting -> running",
        "running -> succeeded",
    ]


def test_the_trainer_gets_paths_instead_of_names(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))
        return await until_status(store, job.id, "succeeded", ticking=supervisor)

    job = drive(folder, ("train", "succeed"), use)
    request = RunDir(job.run_dir).request()
    assert (request.job_id, request.base_model_path) == (job.id, folder / "model")
    assert request.train_data_path.name == "questions.json"


def test_a_trainer_that_dies_fails_its_job_with_the_end_of_its_log(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, ("crash",), use)
    assert job.error
    assert job.error.code == "trainer_died"
    assert "exit code 3" in job.error.message
    assert "boom: no such tensor" in job.error.message


def test_the_trainers_own_error_becomes_the_jobs(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, ("train", "fail"), use)
    assert job.error
    assert job.error.code == "no_signal"


def test_a_trainer_killed_from_outside_is_reported_with_its_signal(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await running(store, supervisor, folder, max_retries=0)
        os.kill(starts(job.run_dir)[0], signal.SIGKILL)
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, RUNS, use)
    assert job.error
    assert "signal 9" in job.error.message
    assert job.progress == 0.5


def test_cancel_lets_the_trainer_end_itself(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await running(store, supervisor, folder)
        await store.wish_cancel(job.id)
        return await until_status(store, job.id, "cancelled", ticking=supervisor)

    job = drive(folder, RUNS, use)
    status = RunDir(job.run_dir).status()
    assert status
    assert status.state == "cancelled"
    assert "told to end: cancelled" in states_told(job)


def test_a_trainer_that_ignores_cancel_is_killed_after_the_grace_period(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await running(store, supervisor, folder)
        await store.wish_cancel(job.id)
        return await until_status(store, job.id, "cancelled", ticking=supervisor)

    job = drive(folder, ("ignore", "train", "wait"), use, cancel_grace_s=0.1)
    assert job.finished_at
    assert job.stopping_since
    assert job.finished_at - job.stopping_since >= 0.1
    assert not Path(f"/proc/{starts(job.run_dir)[0]}").exists()


def test_a_queued_job_is_cancelled_without_being_started(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        await running(store, supervisor, folder)
        waiting = await store.create(new_job(folder))
        await store.wish_cancel(waiting.id)
        return await until_status(store, waiting.id, "cancelled", ticking=supervisor)

    assert starts(drive(folder, RUNS, use).run_dir) == []


def test_a_deadline_ends_the_job(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder, deadline_s=0.5))
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, RUNS, use)
    assert job.error
    assert (job.error.code, job.error.param) == ("deadline_exceeded", "deadline_s")


def test_a_trainer_that_does_not_leave_after_its_last_word_is_ended(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))
        return await until_status(store, job.id, "succeeded", ticking=supervisor)

    job = drive(folder, ("ignore", "succeed", "until_told"), use, cancel_grace_s=0.1)
    assert job.error is None


def test_jobs_start_in_order_within_the_limit(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> list[list[str]]:
        jobs = [await queued(store, new_job(folder)) for _ in range(3)]

        async def states() -> list[str]:
            await supervisor.tick()
            return [(await store.get(job.id)).status for job in jobs]

        for job in jobs[:2]:
            await until_status(store, job.id, "running", ticking=supervisor)
        before = await states()
        (jobs[0].run_dir / "go").touch()
        await until_status(store, jobs[2].id, "running", ticking=supervisor)
        return [before, await states()]

    acts = ("heed", "train", "until_told", "succeed")
    before, after = drive(folder, acts, use, max_running_jobs=2)
    assert before == ["running", "running", "queued"]
    assert after == ["succeeded", "running", "running"]


def test_a_model_that_cannot_be_had_fails_the_job_and_not_the_next(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, Job]:
        bad = await store.create(new_job(folder, base_model=str(folder / "nothing")))
        good = await store.create(new_job(folder))
        failed = await until_status(store, bad.id, "failed", ticking=supervisor)
        return failed, await until_status(store, good.id, "succeeded", ticking=supervisor)

    failed, _ = drive(folder, ("train", "succeed"), use)
    assert failed.error
    assert failed.error.code == "model_unavailable"


def test_a_fresh_supervisor_adopts_a_running_job(folder: Path) -> None:
    async def main() -> Job:
        async with opened(folder) as store:
            first = supervisor_over(store, folder, launcher(*RUNS), lease_s=0)
            job = await running(store, first, folder)
        # The first one is never closed: as after kill -9, its lease just runs out.
        async with opened(folder) as store:
            second = supervisor_over(store, folder, launcher(*RUNS))
            await second.tick()
            assert (await store.get(job.id)).status == "running"
            await store.wish_cancel(job.id)
            return await until_status(store, job.id, "cancelled", ticking=second)

    assert len(starts(asyncio.run(main()).run_dir)) == 1


def test_a_job_that_ended_while_no_one_looked_is_reported_truly(folder: Path) -> None:
    acts = ("heed", "train", "wait")

    async def main() -> Job:
        async with opened(folder) as store:
            first = supervisor_over(store, folder, launcher(*acts), lease_s=0)
            job = await running(store, first, folder, max_retries=0)
            os.kill(starts(job.run_dir)[0], signal.SIGKILL)
            second = supervisor_over(store, folder, launcher(*acts))
            return await until_status(store, job.id, "failed", ticking=second)

    job = asyncio.run(main())
    assert job.error
    assert job.error.code == "trainer_died"


class DiesAfterSubmit:
    """A launcher whose answer is lost: the trainer runs, but nobody could write that down."""

    def __init__(self, *acts: str) -> None:
        self.real = launcher(*acts)

    async def submit(self, placement: Placement) -> Handle | None:
        await self.real.submit(placement)
        raise KeyboardInterrupt

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        return await self.real.poll(placement, handle)

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        await self.real.cancel(placement, handle, force=force)

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        return await self.real.logs(placement, handle, max_bytes=max_bytes)


def test_a_half_done_launch_is_found_and_not_repeated(folder: Path) -> None:
    async def half() -> str:
        async with opened(folder) as store:
            first = supervisor_over(store, folder, DiesAfterSubmit(*RUNS), lease_s=0)
            job = await store.create(new_job(folder))
            with pytest.raises(KeyboardInterrupt):
                await until_status(store, job.id, "running", ticking=first)
            assert (await store.get(job.id)).handle is None
            return job.id

    async def rest(job_id: str) -> Job:
        async with opened(folder) as store:
            second = supervisor_over(store, folder, launcher(*RUNS))
            await until_status(store, job_id, "running", ticking=second)
            await store.wish_cancel(job_id)
            return await until_status(store, job_id, "cancelled", ticking=second)

    job = asyncio.run(rest(asyncio.run(half())))
    assert job.handle
    assert len(starts(job.run_dir)) == 1


def test_a_launch_cut_off_before_the_process_is_done_again(folder: Path) -> None:
    async def main() -> Job:
        async with opened(folder) as store:
            await queued(store, new_job(folder))
            job = await store.start_next("killed", lease_s=-1, limit=1)
            assert job
            job.run_dir.mkdir(parents=True)
            second = supervisor_over(store, folder, launcher("train", "succeed"))
            return await until_status(store, job.id, "succeeded", ticking=second)

    assert len(starts(asyncio.run(main()).run_dir)) == 1


def test_two_supervisors_on_one_store_run_each_job_once(folder: Path) -> None:
    async def main() -> list[Job]:
        async with opened(folder) as store, opened(folder) as other:
            jobs = [await store.create(new_job(folder)) for _ in range(4)]
            pair = [
                supervisor_over(s, folder, launcher("train", "succeed"), max_running_jobs=2)
                for s in (store, other)
            ]
            await asyncio.gather(*(s.start() for s in pair))
            done = [await until_status(store, job.id, "succeeded", "failed") for job in jobs]
            await asyncio.gather(*(s.close() for s in pair))
            return done

    done = asyncio.run(main())
    assert [job.status for job in done] == ["succeeded"] * 4
    assert [len(starts(job.run_dir)) for job in done] == [1] * 4


def test_a_lost_run_directory_ends_the_job_truly(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await running(store, supervisor, folder)
        pid = starts(job.run_dir)[0]
        job.run_dir.rename(folder / "moved")
        await supervisor.tick()
        assert (await store.get(job.id)).status == "running"
        os.kill(pid, signal.SIGKILL)
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, RUNS, use)
    assert job.error
    assert job.error.code == "run_lost"


class Unreachable:
    """A launcher that is down."""

    async def submit(self, placement: Placement) -> Handle | None:
        raise Unavailable("the cluster does not answer")

    async def poll(self, placement: Placement, handle: Handle | None) -> Probe:
        raise Unavailable("the cluster does not answer")

    async def cancel(self, placement: Placement, handle: Handle | None, *, force: bool) -> None:
        raise Unavailable("the cluster does not answer")

    async def logs(self, placement: Placement, handle: Handle | None, *, max_bytes: int) -> str:
        raise Unavailable("the cluster does not answer")


def test_a_launcher_that_comes_back_finds_its_jobs_unharmed(folder: Path) -> None:
    async def main() -> Job:
        async with opened(folder) as store:
            down = supervisor_over(store, folder, Unreachable(), lease_s=0)
            job = await store.create(new_job(folder))
            await until_status(store, job.id, "starting", ticking=down)
            for _ in range(3):
                await down.tick()
            assert (await store.get(job.id)).status == "starting"
            up = supervisor_over(store, folder, launcher("train", "succeed"))
            return await until_status(store, job.id, "succeeded", ticking=up)

    assert asyncio.run(main()).error is None


def test_the_loop_outlives_a_store_that_fails_for_a_while(folder: Path) -> None:
    async def main() -> tuple[str | None, Job]:
        store = JobStore(f"sqlite+aiosqlite:///{folder / 'jobs.db'}", busy_timeout_s=0.05)
        await store.open()
        job = await store.create(new_job(folder))
        supervisor = supervisor_over(store, folder, launcher("train", "succeed"))

        async def problem() -> str | None:
            return supervisor.problem

        with closing(sqlite3.connect(folder / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await supervisor.start()
            said = await until(problem, bool, "a problem")
        done = await until_status(store, job.id, "succeeded")
        assert await until(problem, lambda text: text is None, "no problem") is None
        await supervisor.close()
        await store.close()
        return said, done

    assert "locked by another process" in str(asyncio.run(main())[0])


def test_closing_leaves_trainers_running_and_gives_up_the_lease(folder: Path) -> None:
    async def main() -> tuple[Job, str]:
        async with opened(folder) as store:
            supervisor = supervisor_over(store, folder, launcher(*RUNS))
            job = await running(store, supervisor, folder)
            await supervisor.close()
            probe = await launcher().poll(Placement(job.id, job.run_dir, job.spec.resources), None)
            return await store.get(job.id), probe.state

    job, state = asyncio.run(main())
    assert (job.lease_owner, job.status, state) == (None, "running", "running")
