"""The whole service on either database, and what docs/store.md says of copies."""

import asyncio
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.jobs.store import JobStore
from service.settings import load_settings
from tests.fixtures_jobs import new_job
from tests.fixtures_revisions import open_once, value
from tests.fixtures_stores import sqlite_at

DOCS = (Path(__file__).parents[1] / "docs" / "store.md").read_text()


def service_on(url: str, home: Path) -> TestClient:
    """It looks at its jobs when it is told to, not on its own."""
    settings = load_settings(home=home, engine="off", workers=1, store_url=url, job_poll_s=60)
    return TestClient(create_app(settings), raise_server_exceptions=False)


async def create(url: str, folder: Path) -> str:
    store = JobStore(url)
    job = await store.create(new_job(folder))
    await store.close()
    return job.id


def test_two_services_share_jobs_and_feedback(store_url: str, tmp_path: Path) -> None:
    with service_on(store_url, tmp_path / "a") as a, service_on(store_url, tmp_path / "b") as b:
        job = "/train-jobs/" + asyncio.run(create(store_url, tmp_path))
        assert a.get(job).json() == b.get(job).json()
        assert b.post(f"{job}/cancel").status_code < 300
        give_up = time.monotonic() + 60
        while a.get(job).json()["status"] != "cancelled":
            assert time.monotonic() < give_up
        assert a.get("/train-jobs/%00").status_code in (404, 422)
        assert [each.get("/feedback").json()["data"] for each in (a, b)] == [[], []]


def test_a_copy_as_the_docs_make_it_is_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_once(JobStore(sqlite_at(tmp_path)))
    (tmp_path / "store.db").rename(tmp_path / "verisql.db")
    monkeypatch.chdir(tmp_path)
    found = re.search(r'python -c "(.+)"', DOCS)
    assert found is not None
    with closing(sqlite3.connect("verisql.db")) as running:
        running.execute("SELECT * FROM jobs").fetchall()
        exec(found[1], {})
    assert value("sqlite+aiosqlite:///copy.db", "SELECT count(*) FROM jobs") == 0
