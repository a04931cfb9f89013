"""From any store of an older program to the newest schema, whole or not at all."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import service.app  # noqa: F401 - loads every store
from service.errors import SettingsError
from service.feedback.records import AnswerRecord
from service.feedback.store import FeedbackStore
from service.jobs.job import Job
from service.jobs.store import JobStore
from service.migrations.upgrade import TABLE, VERSIONS, newest
from service.storage import Storage
from tests.fixtures_revisions import BEFORE, make_before, next_store, on, open_once, shape, value

FORK = multiprocessing.get_context("fork")
OURS = ("schema_version", TABLE)


def revision_of(url: str) -> Any:
    return value(url, f"SELECT version_num FROM {TABLE}")


def stores(kind: type[Storage] = Storage) -> list[type[Storage]]:
    found = [kind, *(below for direct in kind.__subclasses__() for below in stores(direct))]
    return [store for store in found if "_tables" in vars(store) and "service." in store.__module__]


def test_the_newest_revision_is_what_the_stores_declare(new_store_url: Callable[[], str]) -> None:
    migrated, declared = new_store_url(), new_store_url()
    open_once(JobStore(migrated))
    tables = [table for store in stores() for table in store._tables]
    on(declared, lambda connection: [table.create(connection) for table in tables])
    ours = {name: seen for name, seen in shape(migrated).items() if name not in OURS}
    # A difference: write a revision (docs/store.md).
    assert ours == shape(declared)
    assert {"jobs", "answers", "feedback", "verified_queries"} <= ours.keys()


def test_a_store_from_before_revisions_keeps_all_it_holds(store_url: str) -> None:
    make_before(store_url)

    async def look() -> tuple[list[Job], AnswerRecord | None, list[Any], list[Any]]:
        jobs, said = JobStore(store_url), FeedbackStore(store_url)
        await jobs.open()
        await said.open()
        try:
            pages = await said.page(limit=9), await said.verified_page(limit=9)
            return await jobs.page(limit=9), await said.answer("r1"), *pages
        finally:
            await jobs.close()
            await said.close()

    jobs, answer, feedback, verified = asyncio.run(look())
    assert [(job.status, job.handle) for job in jobs] == [("queued", None), ("running", {"pid": 1})]
    assert jobs[1].spec.metadata == {"team": "bi"}
    assert answer is not None
    assert (answer.follow_up, feedback[0].rating, verified[0].reads) == (
        False, "positive", ("t", "t.c")
    )  # fmt: skip
    assert revision_of(store_url) == newest(VERSIONS)


def test_a_store_from_before_revisions_has_the_same_schema_then(
    new_store_url: Callable[[], str],
) -> None:
    old, new = new_store_url(), new_store_url()
    make_before(old)
    for url in (old, new):
        open_once(FeedbackStore(url))
    assert shape(old) == shape(new)


def test_what_an_old_program_had_not_made_yet_is_made(new_store_url: Callable[[], str]) -> None:
    half, new = new_store_url(), new_store_url()
    make_before(half, BEFORE[: BEFORE.index("CREATE INDEX ix_jobs_status")])
    for url in (half, new):
        open_once(JobStore(url))
    assert shape(half) == shape(new)
    assert value(half, "SELECT count(*) FROM jobs") == 0


def test_a_program_from_before_revisions_refuses_what_it_does_not_know(store_url: str) -> None:
    open_once(JobStore(store_url))
    assert value(store_url, "SELECT version FROM schema_version") > 1  # It knows 1.


def test_a_store_of_a_newer_program_is_refused_and_unharmed(store_url: str, tmp_path: Path) -> None:
    newer = next_store(tmp_path)
    open_once(newer(store_url))
    with pytest.raises(SettingsError, match=r"has revision 9999, this VeriSQL knows 00\d\d: use"):
        open_once(JobStore(store_url))
    open_once(newer(store_url))
    assert value(store_url, "SELECT count(*) FROM ran") == 1


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("CREATE TABLE jobs (id INTEGER);\n", "a table 'jobs' that VeriSQL did not make"),
        (BEFORE + "UPDATE schema_version SET version = 7;\n", "has schema 7"),
    ],
)
def test_a_database_of_something_else_is_refused(store_url: str, script: str, match: str) -> None:
    make_before(store_url, script)
    seen = shape(store_url)
    with pytest.raises(SettingsError, match=match):
        open_once(JobStore(store_url))
    assert shape(store_url) == seen


def test_tables_of_others_and_their_alembic_are_left_alone(store_url: str) -> None:
    theirs = "CREATE TABLE alembic_version (version_num VARCHAR(32));\nCREATE TABLE x (y TEXT);\n"
    make_before(store_url, theirs + "INSERT INTO alembic_version VALUES ('abc');\n")
    open_once(JobStore(store_url))
    assert value(store_url, "SELECT version_num FROM alembic_version") == "abc"


def test_services_that_start_at_once_upgrade_once(store_url: str, tmp_path: Path) -> None:
    make_before(store_url)
    newer = next_store(tmp_path)
    started = [FORK.Process(target=open_once, args=(newer(store_url),)) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [process.exitcode for process in started] == [0] * 4
    assert value(store_url, "SELECT count(*) FROM ran") == 1


def test_stores_of_one_process_may_open_at_once(new_store_url: Callable[[], str]) -> None:
    async def main(urls: list[str]) -> None:
        opened = [kind(url) for url in urls for kind in (JobStore, FeedbackStore)]
        await asyncio.gather(*(store.open() for store in opened))
        await asyncio.gather(*(store.close() for store in opened))

    urls = [new_store_url() for _ in range(3)]
    asyncio.run(main(urls))
    assert [revision_of(url) for url in urls] == [newest(VERSIONS)] * 3


def open_and_die(store: JobStore, statement: int) -> None:
    """Be killed before that statement of the upgrade, or before the commit that follows it."""
    left = [statement]

    def countdown(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for happening in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, happening, countdown)
    open_once(store)


def killed_at(store: JobStore, statement: int) -> bool:
    process = FORK.Process(target=open_and_die, args=(store, statement))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def test_a_kill_at_any_statement_leaves_the_old_schema_or_the_new(
    store_url: str, tmp_path: Path
) -> None:
    make_before(store_url)
    old, store = shape(store_url), next_store(tmp_path)(store_url)
    statement = 1
    while killed_at(store, statement):
        assert shape(store_url) == old, f"killed at statement {statement}"
        assert value(store_url, "SELECT version FROM schema_version") == 1
        statement += 1
    assert statement > 20
    assert revision_of(store_url) == "9999"
    assert value(store_url, "SELECT count(*) FROM jobs WHERE colour = 'red'") == 2
    assert value(store_url, "SELECT count(*) FROM feedback") == 1


HOLD = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(6148914691236517206)",
}


def test_a_service_does_not_wait_for_ever_for_one_that_upgrades(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.MIGRATION_WAIT_S", 0.5)
    store = JobStore(store_url, busy_timeout_s=0.1)
    hold = HOLD[store_url.split("+")[0]]

    def open_beside(connection: sa.Connection) -> None:
        connection.exec_driver_sql(hold)
        with ThreadPoolExecutor() as other, pytest.raises(SettingsError, match="another process"):
            other.submit(open_once, store).result(60)

    on(store_url, open_beside)
    open_once(JobStore(store_url))
