"""`verisql store` on both databases."""

from pathlib import Path

import pytest

from service.migrations.upgrade import VERSIONS, newest
from tests.fixtures_revisions import make_before, next_store, open_once
from tests.test_cli import _verisql

NEWEST = newest(VERSIONS)


@pytest.fixture(autouse=True)
def address(store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERISQL_STORE_URL", store_url)
    monkeypatch.setenv("VERISQL_HOME", str(tmp_path))


def test_the_revision_is_shown_and_nothing_made(tmp_path: Path) -> None:
    done = _verisql("store")
    assert done.stdout.endswith(f": revision none, this VeriSQL has {NEWEST}\n"), done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_old_store_is_upgraded_without_a_service(store_url: str) -> None:
    make_before(store_url)
    assert _verisql("store", "upgrade").stdout == f"none -> {NEWEST}\n"
    assert _verisql("store", "upgrade").stdout == f"{NEWEST} -> {NEWEST}\n"


def test_a_newer_store_is_said_in_a_line(store_url: str, tmp_path: Path) -> None:
    open_once(next_store(tmp_path)(store_url))
    done = _verisql("store", "upgrade")
    assert done.returncode == 2
    assert "has revision 9999" in done.stderr
    assert "Traceback" not in done.stderr
    assert ": revision 9999, this VeriSQL has 0" in _verisql("store").stdout


def test_a_server_that_is_not_there_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("asyncpg")
    monkeypatch.setenv("VERISQL_STORE_URL", "postgresql+asyncpg://u:secret@/d?host=/none")
    for command in (("store",), ("store", "upgrade")):
        done = _verisql(*command)
        assert done.returncode == 2
        assert done.stderr.startswith("error")
        assert "secret" not in done.stderr + done.stdout
        assert len(done.stderr.splitlines()) == 1
