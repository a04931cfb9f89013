"""The store's disk is full while jobs are created and moved on: a real one, of 4 MiB."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.errors import NoDiskSpace
from service.jobs.job import Job
from service.jobs.launchers.base import Handle, Placement
from service.jobs.launchers.local import LocalLauncher
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.settings import load_settings
from tests.fixtures_disk import Disk
from tests.fixtures_jobs import (
    launcher,
    model_folder,
    new_job,
    queued,
    starts,
    store_at,
    supervisor_over,
    until_file,
    until_status,
)
from tests.fixtures_supervisor import opened
from tests.test_api_errors import check_error

RUNS = ("heed", "train", "until_told", "succeed")
LOOKS = 5


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
