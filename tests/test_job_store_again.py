"""The job store: what becomes of a job that is paused, resumed, retried, or long over."""

import asyncio
import time
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunError
from service.jobs.store import JobStore
from tests.fixtures_jobs import new_job, queued
from tests.test_job_store import with_store


def test_a_job_is_queued_only_once_it_is_validated(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[Any]:
        job = await store.create(new_job(tmp_path))
        before = await store.start_next("me", lease_s=60, limit=1)
        (claimed,) = await store.claim("me", lease_s=60)
        await store.update(claimed, "me", status="queued", validated_at=7.0)
        after = await store.start_next("me", lease_s=60, limit=1)
        return [before, after and (after.id == job.id, after.validated_at)]

    assert with_store(store_url, use) == [None, (True, 7.0)]


def test_a_higher_priority_starts_first_then_the_older(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[int]:
        jobs = [await queued(store, new_job(tmp_path, priority=p)) for p in (0, 5, -3, 5)]
        started = [await store.start_next("me", lease_s=60, limit=9) for _ in jobs]
        ids = [job.id for job in jobs]
        return [ids.index(job.id) for job in started if job]

    assert with_store(store_url, use) == [1, 3, 0, 2]


async def failed(store: JobStore, tmp_path: Path, **spec: Any) -> Any:
    await queued(store, new_job(tmp_path, **spec))
    job = await store.start_next("me", lease_s=60, limit=9)
    assert job
    error = RunError(code="c", message="m")
    values: dict[str, Any] = {"stopping_since": 5.0, "expires_at": 6.0, "active_s": 7.0}
    assert await store.update(job, "me", status="failed", error=error, finished_at=8.0, **values)
    return await store.get(job.id)


def test_a_resumed_job_bears_no_traces_of_its_last_attempt(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[Any]:
        job = await failed(store, tmp_path, max_retries=4)
        return [job, await store.resume(job), await store.get(job.id)]

    before, done, after = with_store(store_url, use)
    assert done
    assert (after.status, after.attempt, after.retries_left, after.active_s) == ("queued", 1, 4, 7)
    cleared = (after.error, after.finished_at, after.stopping_since, after.expires_at, after.handle)
    assert set(cleared) == {None}
    assert (before.started_at is not None, after.started_at, after.lease_owner) == (
        True,
        None,
        None,
    )


def test_of_many_resumes_at_once_one_counts(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[list[bool], int]:
        job = await failed(store, tmp_path)
        done = await asyncio.gather(*(store.resume(job) for _ in range(8)))
        return done, (await store.get(job.id)).attempt

    done, attempt = with_store(store_url, use)
    assert (sum(done), attempt) == (1, 1)


def test_a_late_write_of_the_attempt_before_touches_nothing(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[bool, bool]:
        await queued(store, new_job(tmp_path))
        old = await store.start_next("me", lease_s=60, limit=1)
        assert old
        await store.update(old, "me", status="queued", attempt=1)
        again = await store.start_next("me", lease_s=60, limit=1)
        assert again
        return await store.update(old, "me", progress=0.9), await store.hold(old, "me", lease_s=1)

    assert with_store(store_url, use) == (False, False)


def test_a_retry_starts_only_after_its_pause(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[bool]:
        await queued(store, new_job(tmp_path))
        job = await store.start_next("me", lease_s=60, limit=1)
        assert job
        soon = time.time() + 2
        await store.update(job, "me", status="queued", attempt=1, not_before=soon)
        early = await store.start_next("me", lease_s=60, limit=1)
        await asyncio.sleep(soon - time.time() + 0.05)
        late = await store.start_next("me", lease_s=60, limit=1)
        return [early is None, late is not None and late.not_before is None]

    assert with_store(store_url, use) == [True, True]


def test_a_pause_gives_way_to_a_cancel(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[Any]:
        job = await queued(store, new_job(tmp_path))
        paused = await store.wish_pause(job.id)
        cancelled = await store.wish_cancel(job.id)
        again = await store.wish_pause(job.id)
        over = await failed(store, tmp_path)
        return [paused.wish, cancelled.wish, again.wish, (await store.wish_pause(over.id)).wish]

    assert with_store(store_url, use) == ["pause", "cancel", "cancel", None]


def test_a_pause_is_not_said_to_be_done_over_a_newer_cancel(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> tuple[bool, str, str | None]:
        job = await queued(store, new_job(tmp_path))
        await store.wish_pause(job.id)
        (claimed,) = await store.claim("me", lease_s=60)
        await store.wish_cancel(job.id)
        done = await store.update(claimed, "me", status="paused", wish=None)
        now = await store.get(job.id)
        return done, now.status, now.wish

    assert with_store(store_url, use) == (False, "queued", "cancel")


def test_a_paused_job_needs_no_one_until_it_is_cancelled(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[int]:
        job = await queued(store, new_job(tmp_path))
        await store.wish_pause(job.id)
        (claimed,) = await store.claim("me", lease_s=60)
        await store.update(claimed, "me", status="paused", wish=None)
        quiet = await store.claim("me", lease_s=60)
        await store.wish_cancel(job.id)
        return [len(quiet), len(await store.claim("me", lease_s=60))]

    assert with_store(store_url, use) == [0, 1]


def test_a_folder_that_a_fork_may_need_is_not_gone(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[bool]:
        parent = await failed(store, tmp_path)
        fork = await queued(store, new_job(tmp_path, parent={"job_id": parent.id, "step": 1}))
        assert (fork.parent_id, fork.parent_step) == (parent.id, 1)
        needed = await store.mark_gone(parent)
        await store.wish_cancel(fork.id)
        (claimed,) = await store.claim("me", lease_s=60)
        await store.update(claimed, "me", status="cancelled")
        first, second = [await store.mark_gone(parent) for _ in range(2)]
        resumed = await store.resume(await store.get(parent.id))
        return [needed, first, second, resumed]

    assert with_store(store_url, use) == [False, True, False, False]


def test_only_ended_jobs_whose_time_has_come_expire(tmp_path: Path, store_url: str) -> None:
    async def use(store: JobStore) -> list[list[str]]:
        due, later, never = [await failed(store, tmp_path) for _ in range(3)]
        await store.postpone(later, time.time() + 60)
        await store.postpone(never, None)
        found = [job.id for job in await store.expired(limit=9)]
        await store.resume(due)
        return [[due.id], found, [job.id for job in await store.expired(limit=9)]]

    due, found, resumed = with_store(store_url, use)
    assert (found, resumed) == (due, [])
