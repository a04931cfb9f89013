"""Services are killed, share one store, lose it and find it again: nothing acknowledged is lost."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.errors import Unavailable
from service.feedback.store import FeedbackStore
from service.jobs.store import JobStore
from tests.fixtures_jobs import new_job
from tests.fixtures_postgres import Postgres
from tests.fixtures_revisions import value

ROOT = Path(__file__).parents[1]
Lines = list[list[str]]


@contextmanager
def writer(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.store_writer", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[str], lines: int | None = None) -> Lines:
    """So many whole lines, or all that are left."""
    assert process.stdout is not None
    seen: Lines = []
    while lines is None or len(seen) < lines:
        line = process.stdout.readline()
        if not line.endswith("\n"):
            break
        seen.append(line.split())
    return seen


async def missing(url: str, acknowledged: Lines) -> Lines:
    """What was acknowledged and is not there."""
    jobs, said = JobStore(url), FeedbackStore(url)
    await jobs.open()
    await said.open()
    wishes = {job.id: job.wish for job in await jobs.page(limit=100_000)}
    given = {feedback.id for feedback in await said.page(limit=100_000)}
    await jobs.close()
    await said.close()
    there = {"job": wishes.keys(), "feedback": given}
    there["wish"] = {job_id for job_id, wish in wishes.items() if wish == "cancel"}
    return [line for line in acknowledged if line[1] not in there[line[0]]]


def test_what_was_acknowledged_outlives_a_kill_in_the_middle_of_writes(
    store_url: str, tmp_path: Path
) -> None:
    acknowledged: Lines = []
    for round_ in range(5):
        with writer("create", store_url, tmp_path) as process:
            seen = read(process, lines=10 + 7 * round_)
            process.kill()
            acknowledged += seen + read(process)
        assert asyncio.run(missing(store_url, acknowledged)) == []
    assert Counter(kind for kind, _ in acknowledged).keys() == {"job", "wish", "feedback"}
    if store_url.startswith("sqlite"):
        assert value(store_url, "PRAGMA integrity_check") == "ok"


async def queued(store: JobStore, folder: Path) -> str:
    """The id of a job whose turn may come, whatever a new job's state is."""
    job = await store.create(new_job(folder))
    if job.status != "queued":
        await store.claim("first", lease_s=60)
        assert await store.update(job, "first", status="queued")
        await store.release("first")
    return job.id


def test_services_that_share_a_store_start_no_job_twice_and_keep_the_limit(
    store_url: str, tmp_path: Path
) -> None:
    async def fill() -> list[str]:
        store = JobStore(store_url)
        await store.open()
        made = [await queued(store, tmp_path) for _ in range(60)]
        await store.close()
        return made

    made = asyncio.run(fill())
    with (
        writer("start", store_url, "a", 2) as first,
        writer("start", store_url, "b", 2) as second,
        writer("start", store_url, "c", 2) as third,
    ):
        assert [read(process, 1) for process in (first, second, third)] == [
            [["ready", owner]] for owner in "abc"
        ]
        for process in (first, second, third):
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        each = [read(process) for process in (first, second, third)]
        assert [process.wait(60) for process in (first, second, third)] == [0, 0, 0]
    seen = [line for lines in each for line in lines]
    assert sorted(what for kind, what in seen if kind == "started") == made
    assert all(any(kind == "started" for kind, _ in lines) for lines in each)
    assert {int(what) for kind, what in seen if kind == "active"} <= {0, 1, 2}


async def write(store: JobStore, folder: Path, acknowledged: Lines, last: list[float]) -> None:
    """Go on as a caller would: what is not acknowledged is sent again."""
    while True:
        try:
            job = await store.create(new_job(folder))
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            acknowledged.append(["job", job.id])
            last[0] = time.monotonic()


def test_a_server_that_crashes_and_comes_back_is_used_again_and_lost_nothing(
    own_server: Postgres, tmp_path: Path
) -> None:
    url = own_server.new_database()
    acknowledged: Lines = []
    waits: list[float] = []

    async def main() -> None:
        store = JobStore(url)
        await store.open()
        last = [0.0]
        writers = [
            asyncio.create_task(write(store, tmp_path, acknowledged, last)) for _ in range(3)
        ]
        for _ in range(3):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(own_server.stop)
            await asyncio.to_thread(own_server.start)
            back = time.monotonic()
            while last[0] < back:
                assert time.monotonic() < back + 20
                await asyncio.sleep(0.01)
            waits.append(last[0] - back)
        for task in writers:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError)
            for end in await asyncio.gather(*writers, return_exceptions=True)
        )
        await store.close()

    asyncio.run(main())
    assert len(acknowledged) > 10
    assert asyncio.run(missing(url, acknowledged)) == []
    assert max(waits) < 10


def test_a_service_that_was_idle_does_not_notice_a_restart(
    own_server: Postgres, tmp_path: Path
) -> None:
    async def main() -> bool:
        store = JobStore(own_server.new_database())
        await store.open()
        job = await store.create(new_job(tmp_path))
        for turn in (own_server.stop, own_server.start):
            await asyncio.to_thread(turn)
        found = await store.get(job.id)
        await store.close()
        return found == job

    assert asyncio.run(main())


def test_a_server_that_hangs_is_an_error_in_time(
    own_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.STATEMENT_S", 2)

    async def main() -> float:
        store = JobStore(own_server.new_database(), busy_timeout_s=2)
        await store.open()
        await store.page(limit=1)
        processes = own_server.processes()
        for process in processes:
            process.suspend()
        begun = time.monotonic()
        try:
            for _ in range(2):
                with pytest.raises(Unavailable, match=r"does not answer|cannot be used"):
                    await store.page(limit=1)
            took = time.monotonic() - begun
        finally:
            for process in processes:
                process.resume()
        assert await store.page(limit=1) == []
        await store.close()
        return took

    assert asyncio.run(main()) < 30


@pytest.mark.parametrize(
    "held", ["LOCK TABLE jobs", "SELECT pg_advisory_xact_lock(6148914691236517207)"]
)
def test_a_service_that_stands_still_in_a_transaction_stops_no_other_for_good(
    store_server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, held: str
) -> None:
    async def main() -> tuple[str, float]:
        url = store_server.new_database()
        store = JobStore(url, busy_timeout_s=0.2)
        await store.open()
        made = await queued(store, tmp_path)
        monkeypatch.setattr("service.storage.STATEMENT_S", 2.0)
        still = JobStore(url)
        async with still._engine.connect() as connection:
            await connection.exec_driver_sql(held)
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="locked by another process"):
                await store.start_next("me", lease_s=60, limit=1)
            while time.monotonic() < begun + 20:
                try:
                    started = await store.start_next("me", lease_s=60, limit=1)
                    break
                except Unavailable:
                    continue
            await connection.invalidate()
        await still.close()
        await store.close()
        assert started is not None
        assert started.id == made
        return started.status, time.monotonic() - begun

    status, took = asyncio.run(main())
    assert (status, took < 15) == ("starting", True)
