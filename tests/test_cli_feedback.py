"""`verisql feedback` against a running service with two verified queries."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.feedback.records import AnswerRecord, Given, Proof
from service.feedback.store import FeedbackStore
from service.text2sql.questions import read_questions
from tests.test_cli import _verisql
from tests.test_serve import Service


async def fill(home: Path) -> None:
    """Two databases, a verified query each."""
    home.mkdir()
    store = FeedbackStore(f"sqlite+aiosqlite:///{home / 'verisql.db'}")
    await store.open()
    for name in ("alpine_retail", "bank"):
        answer = AnswerRecord(name, name, "", f"What is {name}?", "", "SELECT 1", "ok", "m", "")
        given = Given(name, "positive", comment="[bold]fine[/bold]")
        await store.give(answer, given, Proof("SELECT 1", "", ()))
    await store.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("cli") / "home"
    asyncio.run(fill(home))
    started = Service(home)
    yield started
    started.kill()


def test_list_shows_a_line_for_each_statement(service: Service) -> None:
    done = _verisql("feedback", "list", "--url", service.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("positive") == 2


def test_export_writes_training_rows(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    done = _verisql("feedback", "export", str(file), "--url", service.url)
    assert (done.returncode, done.stdout) == (0, "2 rows\n"), done.stderr
    assert {row.db_id for row in read_questions(file)} == {"alpine_retail", "bank"}
    _verisql("feedback", "export", str(file), "--db", "bank", "--url", service.url)
    assert [row.question for row in read_questions(file)] == ["What is bank?"]
    assert _verisql("audit", str(file)).returncode == 1  # nobody here knows the bank


def test_export_of_nothing_writes_nothing(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    done = _verisql("feedback", "export", str(file), "--db", "none", "--url", service.url)
    assert done.returncode == 1
    assert "no verified queries yet" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_export_names_a_place_that_cannot_be_written(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "no" / "rows.jsonl"
    done = _verisql("feedback", "export", str(file), "--url", service.url)
    assert done.returncode == 2
    assert str(file) in done.stderr
