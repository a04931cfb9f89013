"""What the tests of supervisors share: a store, a supervisor that is ticked, a job at work."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from tests.fixtures_jobs import (
    end_trainers,
    launcher,
    new_job,
    store_at,
    supervisor_over,
    until_file,
    until_status,
)

T = TypeVar("T")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of store and runs; no trainer below it outlives the test."""
    yield tmp_path
    end_trainers(tmp_path)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[JobStore]:
    store = store_at(folder)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def drive(
    folder: Path,
    acts: tuple[str, ...],
    use: Callable[[JobStore, Supervisor], Awaitable[T]],
    **settings: Any,
) -> T:
    """Run `use` with a supervisor whose trainers do `acts`; `use` ticks it."""

    async def main() -> T:
        async with opened(folder) as store:
            supervisor = supervisor_over(store, folder, launcher(*acts), **settings)
            try:
                return await use(store, supervisor)
            finally:
                await supervisor.close()

    return asyncio.run(main())


async def running(store: JobStore, supervisor: Supervisor, folder: Path, **spec: Any) -> Job:
    """A job whose trainer is at work."""
    job = await store.create(new_job(folder, **spec))
    await until_status(store, job.id, "running", ticking=supervisor)
    await until_file(job.run_dir / "waiting")
    return await store.get(job.id)


def states_told(job: Job) -> list[str]:
    rows = RunDir(job.run_dir).events()
    return [row["message"] for row in rows if row["type"] == "state"]
