"""The job store, on a real SQLite file and on a real PostgreSQL server."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa

from service.errors import (
    Conflict,
    InvalidRequest,
    InvalidTransition,
    NoDiskSpace,
    SettingsError,
    Unavailable,
    UnknownJob,
)
from service.jobs.job import new_job_id
from service.jobs.rundir import RunError
from service.jobs.store import JobStore
from tests.fixtures_jobs import new_job, queued
from tests.fixtures_stores import sqlite_at

T = TypeVar("T")


def with_store(url: str, use: Callable[[JobStore], Awaitable[T]]) -> T:
    async def main() -> T:
        store = JobStore(url)
        await store.open()
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_a_job_comes_back_as_it_was_written_after_a_restart(tmp_path: Path, store_url: str) -> None:
    new = new_job(tmp_path, max_steps=7, metadata={"team": "bi"})
    with_store(store_url, lambda store: store.create(new))
    job = with_store(store_url, lambda store: store.get(new.id))
    assert (job.status, job.spec, job.run_dir, job.error) == (
        "validating",
        new.spec,
        new.run_dir,
        None,
    )


def test_any_text_comes_back(tmp_path: Path, store_url: str) -> None:
    odd = {"nul": "\0", "quotes": "'é'\n\t", "far": "\U0001f600"}
    error = RunError(code="c", message="\0 '")

    async def use(store: JobStore) -> tuple[object, object]:
        await queued(store, new_job(tmp_path, metadata=odd))
        job = await store.start_next("me", lease_s=60, limit=1)
        assert job
        assert await store.update(job, "me", status="failed", error=error, stage="s" * 64)
        found = await store.get(job.id)
        return found.spec.metadata, found.error

    assert with_store(store_url, use) == (odd, error)


@pytest.mark.parametrize("job_id", ["job_none", "é" * 64])
def test_an_unknown_job_is_named(store_url: str, job_id: str) -> None:
    with pytest.raises(UnknownJob, match=re.escape(repr(job_id))):
        with_store(store_url, lambda store: store.get(job_id))


def test_a_name_that_no_job_can_have_is_no_fault_of_the_store(store_url: str) -> None:
    with pytest.raises((UnknownJob, InvalidRequest)):
        with_store(store_url, lambda store: store.get("\0"))


def test_the_same_key_and_body_give_the_first_job(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[str]:
        created = [await store.create(new_job(tmp_path, key="k")) for _ in range(3)]
        return [job.id for job in created]

    assert len(set(with_store(store_url, use))) == 1


def test_the_same_key_with_another_body_is_a_conflict(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> None:
        await store.create(new_job(tmp_path, key="k", body="a"))
        await store.create(new_job(tmp_path, key="k", body="b"))

    with pytest.raises(Conflict, match="another body"):
        with_store(store_url, use)


def test_many_at_once_with_one_key_make_one_job(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[set[str], int]:
        jobs = await asyncio.gather(*(store.create(new_job(tmp_path, key="k")) for _ in range(10)))
        return {job.id for job in jobs}, len(await store.page(limit=100))

    ids, stored = with_store(store_url, use)
    assert (len(ids), stored) == (1, 1)


def test_pages_go_from_new_to_old_without_gaps(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[list[str], list[str]]:
        made = [(await store.create(new_job(tmp_path))).id for _ in range(5)]
        first = await store.page(limit=3)
        rest = await store.page(limit=3, after=first[-1].id)
        return made, [job.id for job in first + rest]

    made, listed = with_store(store_url, use)
    assert listed == made[::-1]


def test_the_oldest_queued_job_starts_and_the_limit_holds(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[list[str], list[Any]]:
        made = [(await queued(store, new_job(tmp_path))).id for _ in range(3)]
        return made, [await store.start_next("me", lease_s=60, limit=2) for _ in range(3)]

    made, started = with_store(store_url, use)
    assert [job and job.id for job in started] == [made[0], made[1], None]
    assert started[0].status == "starting"


def test_stores_on_one_database_never_start_a_job_twice(tmp_path: Path, store_url: str) -> None:
    async def main() -> list[Any]:
        stores = [JobStore(store_url) for _ in range(4)]
        await asyncio.gather(*(store.open() for store in stores))
        for _ in range(5):
            await queued(stores[0], new_job(tmp_path))
        tries = (store.start_next(f"s{i}", lease_s=60, limit=3) for i, store in enumerate(stores))
        started = await asyncio.gather(*tries)
        await asyncio.gather(*(store.close() for store in stores))
        return [job.id for job in started if job]

    started = asyncio.run(main())
    assert len(started) == len(set(started)) == 3


def test_a_write_by_another_owner_touches_nothing(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[bool, bool, float]:
        await queued(store, new_job(tmp_path))
        job = await store.start_next("me", lease_s=60, limit=1)
        assert job
        theirs = await store.update(job, "someone else", progress=0.9)
        mine = await store.update(job, "me", progress=0.5)
        return theirs, mine, (await store.get(job.id)).progress

    assert with_store(store_url, use) == (False, True, 0.5)


def test_a_write_from_a_passed_state_touches_nothing(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[bool, bool, str]:
        await queued(store, new_job(tmp_path))
        job = await store.start_next("me", lease_s=60, limit=1)
        assert job
        first = await store.update(
            job, "me", status="failed", error=RunError(code="c", message="m")
        )
        late = await store.update(job, "me", status="running")
        return first, late, (await store.get(job.id)).status

    assert with_store(store_url, use) == (True, False, "failed")


def test_a_transition_that_the_table_forbids_is_refused(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> None:
        job = await store.create(new_job(tmp_path))
        await store.update(job, "me", status="succeeded")

    with pytest.raises(InvalidTransition):
        with_store(store_url, use)


def test_a_lease_is_respected_until_it_ends(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[int]:
        await queued(store, new_job(tmp_path))
        await store.start_next("old", lease_s=60, limit=1)
        held = await store.claim("new", lease_s=60)
        await store.release("old")
        freed = await store.claim("new", lease_s=0)
        expired = await store.claim("third", lease_s=60)
        return [len(held), len(freed), len(expired)]

    assert with_store(store_url, use) == [0, 1, 1]


def test_a_wish_is_recorded_and_a_terminal_job_left_alone(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[str | None]:
        job = await store.create(new_job(tmp_path))
        wished = await store.wish_cancel(job.id)
        (claimed,) = await store.claim("me", lease_s=60)
        await store.update(claimed, "me", status="cancelled")
        other = await store.create(new_job(tmp_path))
        again = await store.wish_cancel(job.id)
        return [wished.wish, again.status, (await store.get(other.id)).wish]

    assert with_store(store_url, use) == ["cancel", "cancelled", None]


def test_a_file_that_is_no_database_is_refused_at_start(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(SettingsError, match="damaged"):
        with_store(sqlite_at(tmp_path), lambda store: store.page(limit=1))


def test_a_store_that_is_no_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="VERISQL_STORE_URL"):
        JobStore("sqlite+aiosqlite://")
    with pytest.raises(SettingsError, match="VERISQL_STORE_URL"):
        JobStore("not a url")


def test_a_locked_store_says_so_in_time(tmp_path: Path) -> None:
    async def main() -> None:
        store = JobStore(sqlite_at(tmp_path), busy_timeout_s=0.05)
        await store.open()
        try:
            with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await store.create(new_job(tmp_path))
        finally:
            await store.close()

    with pytest.raises(Unavailable, match="locked"):
        asyncio.run(main())


def limit_to_12_pages(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA max_page_count = 12")


def test_a_full_disk_is_said_and_the_store_stays_usable(tmp_path: Path) -> None:
    async def use(store: JobStore) -> int:
        async def create_many() -> None:
            for _ in range(100):
                await store.create(new_job(tmp_path, metadata={"k": "v" * 500}))

        await store.close()  # The next connection is born with the limit.
        sa.event.listen(store._engine.sync_engine, "connect", limit_to_12_pages)
        with pytest.raises(NoDiskSpace, match="free some space"):
            await create_many()
        return len(await store.page(limit=100))

    assert with_store(sqlite_at(tmp_path), use) > 0


def test_job_ids_sort_by_time() -> None:
    ids = [new_job_id() for _ in range(50)]
    assert ids == sorted(ids)
    assert all(len(job_id) == 26 for job_id in ids)
