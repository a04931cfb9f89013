"""Jobs that are paused, resumed, retried, forked, expired: real store, folders and processes."""

import asyncio
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.errors import Conflict, InvalidTransition
from service.jobs.again import check_going, check_resumable
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from tests.fixtures_jobs import (
    job_row,
    launcher,
    new_job,
    queued,
    starts,
    supervisor_over,
    until,
    until_status,
)
from tests.fixtures_supervisor import drive, opened, running, states_told

RUNS = ("heed", "train", "wait", "succeed")


async def until_attempt(
    store: JobStore, supervisor: Supervisor, job: Job, attempt: int, *wanted: str
) -> Job:
    """Wait for a state of a later attempt."""

    async def look() -> Job:
        await supervisor.tick()
        return await store.get(job.id)

    return await until(
        look, lambda j: j.attempt >= attempt and j.status in wanted, f"attempt {attempt}: {wanted}"
    )


async def paused(store: JobStore, supervisor: Supervisor, folder: Path, **spec: Any) -> Job:
    job = await running(store, supervisor, folder, **spec)
    await store.wish_pause(job.id)
    return await until_status(store, job.id, "paused", ticking=supervisor)


def test_a_paused_job_holds_no_machine_and_goes_on_when_it_is_resumed(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, Job]:
        first = await paused(store, supervisor, folder)
        assert not Path(f"/proc/{starts(first.run_dir)[0]}").exists()
        assert await store.resume(first)
        await until_attempt(store, supervisor, first, 1, "running")
        (first.run_dir / "go").touch()
        return first, await until_status(store, first.id, "succeeded", ticking=supervisor)

    first, done = drive(folder, RUNS, use)
    assert (first.wish, first.handle, first.attempt_started_at) == (None, None, None)
    assert (first.progress, first.eta_s) == (0.5, None)
    assert first.active_s > 0
    assert (done.attempt, len(starts(done.run_dir))) == (1, 2)
    assert done.active_s > first.active_s
    assert "told to end: paused" in states_told(done)
    assert states_told(done)[-4:] == [
        "running -> paused",
        "queued -> starting",
        "starting -> running",
        "running -> succeeded",
    ]


def test_a_trainer_that_ignores_a_pause_is_killed_and_the_job_paused(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        return await paused(store, supervisor, folder)

    job = drive(folder, ("ignore", "train", "wait"), use, cancel_grace_s=0.1)
    assert not Path(f"/proc/{starts(job.run_dir)[0]}").exists()
    assert (job.attempt, job.retries_left) == (0, 3)


def test_a_queued_job_is_paused_without_being_started(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await queued(store, new_job(folder))
        await store.wish_pause(job.id)
        return await until_status(store, job.id, "paused", ticking=supervisor)

    assert starts(drive(folder, RUNS, use).run_dir) == []


def test_a_job_is_cancelled_before_it_is_validated(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder))
        await store.wish_cancel(job.id)
        await supervisor.tick()
        return await store.get(job.id)

    job = drive(folder, RUNS, use)
    assert (job.status, job.validated_at) == ("cancelled", None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_trainer_ended_from_outside_is_started_again(folder: Path, number: int) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await running(store, supervisor, folder)
        os.kill(starts(job.run_dir)[0], number)
        again = await until_attempt(store, supervisor, job, 1, "running")
        assert (again.retries_left, again.started_at) == (2, job.started_at)
        (job.run_dir / "go").touch()
        return await until_status(store, job.id, "succeeded", "failed", ticking=supervisor)

    job = drive(folder, RUNS, use)
    assert (job.status, len(starts(job.run_dir))) == ("succeeded", 2)
    assert any("running -> queued: its machine was taken" in said for said in states_told(job))


def test_a_trainer_that_is_killed_each_time_fails_in_the_end(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder, max_retries=1))
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, ("die",), use)
    assert (job.attempt, job.retries_left, len(starts(job.run_dir))) == (1, 0, 2)
    assert job.error
    assert "signal 9" in job.error.message


def test_a_retry_waits_its_pause_and_lets_others_pass(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, Job]:
        job = await store.create(new_job(folder, priority=9))
        waits = await until_attempt(store, supervisor, job, 1, "queued")
        other = await store.create(new_job(folder))
        await until_attempt(store, supervisor, other, 1, "queued")
        return waits, await store.get(job.id)

    waits, still = drive(folder, ("die",), use, retry_pause_s=600)
    assert waits.not_before
    assert waits.not_before > waits.created_at + 590
    assert waits.reason == "its machine was taken away (signal 9)"
    assert (still.status, still.attempt) == ("queued", 1)


def test_a_failed_job_is_resumed_with_its_retries_anew(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> tuple[Job, Job]:
        job = await store.create(new_job(folder, max_retries=2))
        failed = await until_status(store, job.id, "failed", ticking=supervisor)
        check_resumable(failed)
        assert await store.resume(failed)
        return failed, await until_attempt(store, supervisor, job, 1, "failed")

    first, second = drive(folder, ("train", "fail"), use)
    assert (first.attempt, second.attempt, second.retries_left) == (0, 1, 2)
    assert len(starts(second.run_dir)) == 2


def test_the_last_word_of_one_attempt_is_not_that_of_the_next(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await paused(store, supervisor, folder)
        assert await store.resume(job)
        await until_status(store, job.id, "starting", ticking=supervisor)
        # Were `cancelled` believed, it would have to be gone after its grace, which is over.
        return await until_attempt(store, supervisor, job, 1, "running", "failed", "queued")

    job = drive(folder, RUNS, use, cancel_grace_s=0)
    assert (job.status, job.attempt) == ("running", 1)


def test_what_cannot_be_resumed_says_why(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> None:
        job = await paused(store, supervisor, folder)
        check_resumable(job)
        with pytest.raises(InvalidTransition, match="is being cancelled"):
            check_resumable(replace(job, wish="cancel"))
        with pytest.raises(Conflict, match="was removed"):
            check_resumable(replace(job, gone_at=1.0))
        unseen = replace(job, status="failed", started_at=None, validated_at=None)
        with pytest.raises(InvalidTransition, match="failed before it was queued"):
            check_resumable(unseen)
        job.run_dir.rename(folder / "moved")
        with pytest.raises(Conflict, match="is gone"):
            check_resumable(job)

    drive(folder, RUNS, use)


@pytest.mark.parametrize(
    ("status", "wish", "said"),
    [
        ("succeeded", None, "is succeeded: it cannot be resumed"),
        ("running", "pause", "resume it once it is `paused`"),
        ("running", "cancel", "is being cancelled"),
    ],
)
def test_a_job_that_does_not_go_on_says_so(status: str, wish: str | None, said: str) -> None:
    with pytest.raises(InvalidTransition, match=said):
        check_going(job_row(status=status, wish=wish))
    check_going(job_row(status="queued"))


def test_a_lost_folder_is_not_trained_anew_from_nothing(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await paused(store, supervisor, folder)
        job.run_dir.rename(folder / "moved")
        assert await store.resume(job)
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, RUNS, use)
    assert job.error
    assert job.error.code == "run_lost"
    assert starts(job.run_dir) == []


def test_a_fork_whose_parents_checkpoint_is_gone_fails_before_it_is_queued(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        parent = await store.create(new_job(folder))
        fork = new_job(folder, parent={"job_id": parent.id, "step": 1})
        job = await store.create(fork)
        return await until_status(store, job.id, "failed", ticking=supervisor)

    job = drive(folder, ("train", "until_told"), use)
    assert job.error
    assert (job.error.code, job.error.param) == ("invalid_request", "parent")
    assert job.started_at is None


def test_the_folder_of_an_expired_job_goes_and_its_row_stays(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder, ttl_s=0))
        await until_status(store, job.id, "succeeded", ticking=supervisor)
        await supervisor.tick()
        return await store.get(job.id)

    job = drive(folder, ("train", "succeed"), use)
    assert (job.status, job.progress, job.expires_at) == ("succeeded", 1.0, None)
    assert job.gone_at
    assert not job.run_dir.exists()


def test_a_removal_that_was_cut_off_is_done_again(folder: Path) -> None:
    async def main() -> Job:
        async with opened(folder) as store:
            first = supervisor_over(store, folder, launcher("train", "succeed"))
            job = await store.create(new_job(folder, ttl_s=1000))
            done = await until_status(store, job.id, "succeeded", ticking=first)
            await store.postpone(done, 1.0)
            assert await store.mark_gone(done)  # Here the service was killed.
            await supervisor_over(store, folder, launcher()).tick()
            return await store.get(job.id)

    job = asyncio.run(main())
    assert (job.expires_at, job.run_dir.exists()) == (None, False)


def test_a_folder_that_a_registered_adapter_came_from_stays(folder: Path) -> None:
    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(folder, ttl_s=1000))
        done = await until_status(store, job.id, "succeeded", ticking=supervisor)
        register(folder, done.run_dir / "checkpoints" / "step_1")
        await store.postpone(done, 1.0)
        await supervisor.tick()
        return await store.get(job.id)

    job = drive(folder, ("train", "succeed"), use)
    assert job.run_dir.exists()
    assert job.gone_at is None
    assert job.expires_at
    assert job.expires_at > job.created_at + 3000


def register(folder: Path, source: Path) -> None:
    about = {"name": "a", "revision": "0" * 64, "base": "m", "rank": 1, "size_bytes": 1}
    about |= {"source": str(source), "registered_at": 1.0}
    (folder / "registered" / "a@0").mkdir(parents=True)
    (folder / "registered" / "a@0" / "about.json").write_text(json.dumps(about))


def test_a_new_attempt_begins_with_a_fresh_word(folder: Path) -> None:
    run = RunDir(folder)
    run.begin_attempt()
    assert run.status() is None
    (folder / "status.json").write_text('{"state": "failed", "step": 3, "max_steps": 9}')
    run.begin_attempt()
    seen = run.status()
    assert seen
    assert (seen.state, seen.step, seen.max_steps) == ("starting", 3, 9)
    (folder / "status.json").write_text("torn")
    run.begin_attempt()
    assert (run.status() or seen).step == 0
