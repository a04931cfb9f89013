"""A disk is full while jobs are created, moved on, prepared and trained: a real one, of 4 MiB."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import NoDiskSpace
from service.jobs.again import check_resumable
from service.jobs.job import Job
from service.jobs.launchers.base import Handle, Launcher, Placement
from service.jobs.launchers.local import LocalLauncher
from service.jobs.rundir import RunDir
from service.jobs.steps import placement
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.settings import load_settings
from tests.fixtures_disk import Disk
from tests.fixtures_jobs import (
    end_trainers,
    launcher,
    model_folder,
    new_job,
    queued,
    starts,
    store_at,
    supervisor_over,
    until,
    until_file,
    until_status,
)
from tests.fixtures_supervisor import opened
from tests.test_api_errors import check_error

ROOM = 64 * 1024
RUNS = ("heed", "train", "until_told", "succeed")
LOOKS = 5


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Whatever is not on the small disk."""
    yield tmp_path
    end_trainers(tmp_path)


# The store's disk.


async def look(supervisor: Supervisor) -> None:
    """Look at the jobs a few times while the store's disk is full."""
    for _ in range(LOOKS):
        with suppress(NoDiskSpace):
            await supervisor.tick()
        await asyncio.sleep(0.02)


async def live(store: JobStore, supervisor: Supervisor, job: Job, full: str, disk: Disk) -> Job:
    """To its end, with the store's disk full once the job's state is `full`."""
    if job.status != full:
        await until_status(store, job.id, full, ticking=supervisor)
    if full == "running":
        await until_file(job.run_dir / "starts")
        (job.run_dir / "go").touch()  # It ends while nobody can write that down.
    disk.fill()
    await look(supervisor)
    stuck = await store.get(job.id)
    assert (stuck.status, stuck.error, stuck.attempt) == (full, None, 0)
    assert len(starts(job.run_dir)) <= 1
    disk.empty()
    await until_status(store, job.id, "running", "succeeded", ticking=supervisor)
    (job.run_dir / "go").touch()
    return await until_status(store, job.id, "succeeded", "failed", ticking=supervisor)


@pytest.mark.parametrize("full", ["validating", "queued", "starting", "running"])
def test_a_full_store_holds_a_job_where_it_is_and_it_goes_on_by_itself(
    folder: Path, disk: Disk, full: str
) -> None:
    async def main() -> Job:
        async with opened(disk.path) as store:
            supervisor = supervisor_over(store, folder, launcher(*RUNS))
            new = new_job(folder)
            job = await (queued(store, new) if full == "queued" else store.create(new))
            done = await live(store, supervisor, job, full, disk)
            await supervisor.close()
            return done

    job = asyncio.run(main())
    assert (job.status, job.error, job.attempt, job.progress) == ("succeeded", None, 0, 1.0)
    assert len(starts(job.run_dir)) == 1


class FillsTheStore(LocalLauncher):
    """The disk is full from the moment in which the trainer has been started."""

    disk: Disk

    async def submit(self, placement: Placement) -> Handle | None:
        handle = await super().submit(placement)
        self.disk.fill()
        return handle


def test_a_launch_that_could_not_be_written_down_is_found_and_not_repeated(
    folder: Path, disk: Disk
) -> None:
    local = FillsTheStore(launcher(*RUNS)._command)
    local.disk = disk

    async def main() -> Job:
        async with opened(disk.path) as store:
            supervisor = supervisor_over(store, folder, local)
            job = await store.create(new_job(folder))
            with suppress(NoDiskSpace):
                await until_status(store, job.id, "running", ticking=supervisor)
            await look(supervisor)
            assert (await store.get(job.id)).handle is None
            disk.empty()
            await until_status(store, job.id, "running", ticking=supervisor)
            (job.run_dir / "go").touch()
            return await until_status(store, job.id, "succeeded", ticking=supervisor)

    job = asyncio.run(main())
    assert (job.attempt, len(starts(job.run_dir))) == (0, 1)


def test_a_wish_that_cannot_be_kept_is_refused_and_one_that_was_kept_is_fulfilled(
    folder: Path, disk: Disk
) -> None:
    async def main() -> Job:
        async with opened(disk.path) as store:
            supervisor = supervisor_over(store, folder, launcher("heed", "train", "wait"))
            job = await store.create(new_job(folder))
            await until_status(store, job.id, "running", ticking=supervisor)
            await store.wish_pause(job.id)
            disk.fill()
            with pytest.raises(NoDiskSpace, match="free some space"):
                await store.wish_cancel(job.id)
            await look(supervisor)
            assert (await store.get(job.id)).status == "running"
            disk.empty()
            return await until_status(store, job.id, "paused", "cancelled", ticking=supervisor)

    assert asyncio.run(main()).status == "paused"


def test_a_store_is_read_and_opened_in_words_while_its_disk_is_full(
    folder: Path, disk: Disk
) -> None:
    async def main() -> int:
        async with opened(disk.path) as store:
            await store.create(new_job(folder))
        disk.fill()
        again = store_at(disk.path)
        with pytest.raises(NoDiskSpace, match="free some space"):
            await again.open()
        disk.empty()
        async with opened(disk.path) as store:
            return len(await store.page(limit=10))

    assert asyncio.run(main()) == 1


def test_a_caller_is_told_and_nothing_is_half_created(folder: Path, disk: Disk) -> None:
    url = f"sqlite+aiosqlite:///{disk.path / 'store.db'}"
    settings = load_settings(home=folder, engine="off", workers=1, store_url=url, job_poll_s=60)
    spec = {"base_model": str(model_folder(folder / "model")), "train_data": "demo"}
    key = {"Idempotency-Key": "once"}
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        disk.fill()
        for headers in (key, key, {}):
            refused = client.post("/train-jobs", json=spec, headers=headers)
            check_error(refused, 507, "no_disk_space", None)
        assert client.get("/train-jobs").json()["data"] == []
        assert not list((folder / "runs").glob("*"))
        disk.empty()
        created = [client.post("/train-jobs", json=spec, headers=key).json() for _ in range(2)]
        client.post(f"/train-jobs/{created[0]['id']}/cancel")
        assert [job["id"] for job in client.get("/train-jobs").json()["data"]] == [created[0]["id"]]
    assert created[0]["id"] == created[1]["id"]


# The runs' disk.


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
