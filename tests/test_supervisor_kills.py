"""Kill -9 at each write of a job's life, before it and after it; each attempt runs once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from tests.fixtures_jobs import (
    launcher,
    new_job,
    starts,
    store_at,
    supervisor_over,
    until,
    until_status,
)

ROOT = Path(__file__).parents[1]
RUNS = ("heed", "train", "wait", "succeed")


class Killed(BaseException):
    """What a killed service does from here on: nothing."""


class Mortal(JobStore):
    """The store of a service that dies at the first write that `fatal` knows, once."""

    fatal: Callable[[Job, dict[str, Any]], bool]
    after = False

    async def update(self, job: Job, owner: str, **changes: Any) -> bool:
        if not self.fatal(job, changes):
            return await super().update(job, owner, **changes)
        if self.after:
            await super().update(job, owner, **changes)
        self.fatal = lambda *_: False
        raise Killed

    async def hold(self, job: Job, owner: str, *, lease_s: float) -> bool:
        if self.fatal(job, {"hold": True}):
            self.fatal = lambda *_: False
            raise Killed
        return await super().hold(job, owner, lease_s=lease_s)


class Service:
    """Supervisors one after the other: a killed one is never closed, its lease just runs out."""

    def __init__(self, store: Mortal, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.supervisor = self._new()
        self.killed = 0

    def _new(self) -> Supervisor:
        return supervisor_over(self.store, self.folder, launcher(*RUNS), lease_s=0)

    async def until(self, job: Job, attempt: int, *wanted: str) -> Job:
        async def look() -> Job:
            try:
                await self.supervisor.tick()
            except Killed:
                self.killed += 1
                self.supervisor = self._new()
            return await self.store.get(job.id)

        return await until(
            look, lambda j: j.attempt >= attempt and j.status in wanted, f"{attempt} {wanted}"
        )


async def live(service: Service, *, pause: bool, preempt: bool) -> Job:
    """From its creation to its success."""
    store = service.store
    job = await store.create(new_job(service.folder))
    attempt = 0
    await service.until(job, attempt, "running")
    if pause:
        await store.wish_pause(job.id)
        assert await store.resume(await service.until(job, attempt, "paused"))
        attempt += 1
        await service.until(job, attempt, "running")
    if preempt:
        os.kill(starts(job.run_dir)[-1], signal.SIGKILL)
        attempt += 1
        await service.until(job, attempt, "running")
    (job.run_dir / "go").touch()
    return await service.until(job, attempt, "succeeded", "failed")


WRITES: list[tuple[str, bool, bool, Callable[[Job, dict[str, Any]], bool]]] = [
    ("validated", False, False, lambda j, c: "validated_at" in c),
    ("before submit", False, False, lambda j, c: "hold" in c),
    ("submitted", False, False, lambda j, c: "handle" in c and "status" not in c),
    ("trains", False, False, lambda j, c: c.get("status") == "running"),
    ("succeeded", False, False, lambda j, c: c.get("status") == "succeeded"),
    ("told to pause", True, False, lambda j, c: "stopping_since" in c and "status" not in c),
    ("paused", True, False, lambda j, c: c.get("status") == "paused"),
    ("resumed, submitted", True, False, lambda j, c: j.attempt == 1 and "handle" in c),
    ("queued again", False, True, lambda j, c: "attempt" in c),
    ("again before submit", False, True, lambda j, c: j.attempt == 1 and "hold" in c),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("pause", "preempt", "fatal"), [w[1:] for w in WRITES],
                         ids=[w[0] for w in WRITES])  # fmt: skip
def test_a_service_killed_at_any_write_loses_nothing_and_repeats_nothing(
    folder: Path,
    pause: bool,
    preempt: bool,
    fatal: Callable[[Job, dict[str, Any]], bool],
    after: bool,
) -> None:
    async def main() -> tuple[Job, int]:
        store = Mortal(str(store_at(folder)._url))
        store.fatal, store.after = fatal, after
        await store.open()
        try:
            service = Service(store, folder)
            return await live(service, pause=pause, preempt=preempt), service.killed
        finally:
            await store.close()

    job, killed = asyncio.run(main())
    assert killed == 1
    assert (job.status, job.error) == ("succeeded", None)
    assert job.attempt == pause + preempt
    assert len(starts(job.run_dir)) == job.attempt + 1


def test_two_supervisors_end_pause_and_resume_each_job_once(folder: Path) -> None:
    async def main() -> list[Job]:
        stores = [store_at(folder) for _ in range(2)]
        for store in stores:
            await store.open()
        pair = [
            supervisor_over(store, folder, launcher(*RUNS), max_running_jobs=2) for store in stores
        ]
        await asyncio.gather(*(supervisor.start() for supervisor in pair))
        jobs = [await stores[0].create(new_job(folder)) for _ in range(3)]
        await stores[1].wish_pause(jobs[0].id)
        paused = await until_status(stores[0], jobs[0].id, "paused")
        resumed = await asyncio.gather(*(store.resume(paused) for store in stores))
        assert sorted(resumed) == [False, True]
        for job in jobs:
            job.run_dir.mkdir(parents=True, exist_ok=True)
            (job.run_dir / "go").touch()
        done = [await until_status(stores[0], job.id, "succeeded", "failed") for job in jobs]
        await asyncio.gather(*(supervisor.close() for supervisor in pair))
        await asyncio.gather(*(store.close() for store in stores))
        return done

    done = asyncio.run(main())
    assert [job.status for job in done] == ["succeeded"] * 3
    assert all(len(starts(job.run_dir)) <= job.attempt + 1 for job in done)


@contextmanager
def service_process(folder: Path) -> Iterator[None]:
    """A process with a supervisor, killed with SIGKILL at the end."""
    command = [sys.executable, "-m", "tests.supervisor_process", str(folder), *RUNS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            process.kill()


def test_a_real_kill_between_any_two_states_is_an_ordinary_day(folder: Path) -> None:
    async def main() -> tuple[Job, list[str]]:
        store = store_at(folder)
        await store.open()
        job = await store.create(new_job(folder))
        with service_process(folder):
            await until_status(store, job.id, "running")
        await store.wish_pause(job.id)
        with service_process(folder):
            paused = await until_status(store, job.id, "paused")
        assert await store.resume(paused)
        with service_process(folder):
            await until_status(store, job.id, "running")
        os.kill(starts(job.run_dir)[-1], signal.SIGKILL)
        with service_process(folder):
            await until(
                lambda: store.get(job.id),
                lambda j: (j.status, j.attempt) == ("running", 2),
                "its retry",
            )
        (job.run_dir / "go").touch()
        with service_process(folder):
            done = await until_status(store, job.id, "succeeded", "failed")
        await store.close()
        return done, [row["message"] for row in RunDir(job.run_dir).events()]

    done, told = asyncio.run(main())
    assert (done.status, done.attempt, len(starts(done.run_dir))) == ("succeeded", 2, 3)
    assert told.count("queued -> starting") == 3
    assert told[-1] == "running -> succeeded"
