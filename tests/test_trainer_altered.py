"""Altered copies in training: what has none is left out, what was not tried on all is masked."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.sandbox.limits import Limits
from tests.fixtures_trainer import PETS, write_pets
from tests.test_trainer_rows import context, length
from trainer.altered import settled
from trainer.context import Context
from trainer.errors import NoTrainingRows
from trainer.files import COPIES
from trainer.rewards import kind_of, reward_task
from trainer.training_rows import training_rows
from trainer.verifier_thread import VerifierThread

COUNT = "SELECT count(*) FROM pets"
STRICT: dict[str, Any] = {"hyperparameters": {"reward_copies": 2}}


def write_hurt(data: Path) -> None:
    """A database that answers questions on its pets; the pages of its other table are rubbish."""
    path = data / "hurt" / "hurt.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{PETS} CREATE TABLE notes (id INTEGER, text TEXT);")
        connection.executemany(
            "INSERT INTO notes VALUES (?, ?)", [(n, "x" * 900) for n in range(9)]
        )
        connection.commit()
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xff" * (len(content) - 8192))


def write_asked(folder: Path, *db_ids: str) -> Path:
    rows = [{"db_id": db_id, "question": "How many?", "SQL": COUNT} for db_id in db_ids]
    path = folder / "train.json"
    path.write_text(json.dumps(rows))
    return path


@contextmanager
def asked(folder: Path, *db_ids: str, **spec: Any) -> Iterator[Context]:
    write_hurt(write_pets(folder))
    questions = write_asked(folder, *db_ids)
    with context(folder, questions, **STRICT | spec) as given:
        yield given


def test_questions_whose_database_has_no_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    with asked(tmp_path, "pets", "hurt", "hurt2") as given:
        prepared = training_rows(given, "grpo", length, 1000)
        assert [row.db_id for row in prepared.rows] == ["pets"]
        assert prepared.dropped == {"no_copies": 1, "unknown_database": 1}
        assert list((given.run.path / COPIES).iterdir())


def test_without_any_copies_the_run_says_so(tmp_path: Path) -> None:
    with (
        asked(tmp_path, "hurt") as given,
        pytest.raises(NoTrainingRows, match="Set reward_copies to 0"),
    ):
        training_rows(given, "grpo", length, 1000)


def test_agreement_alone_asks_for_no_copies(tmp_path: Path) -> None:
    settings = STRICT["hyperparameters"] | {"offline": {"labels": "consensus"}}
    with asked(tmp_path, "hurt", recipe=["offline"], hyperparameters=settings) as given:
        assert len(training_rows(given, "offline", length, 1000).rows) == 1


def test_a_match_that_no_copy_was_tried_for_is_masked_and_ends_no_run(tmp_path: Path) -> None:
    data, copies = write_pets(tmp_path), tmp_path / "copies"
    write_hurt(data)
    with VerifierThread([data], workers=1, limits=Limits(), copies_path=copies) as verifier:
        task = reward_task("hurt", [COUNT], [COUNT, "SELECT 1"], copies=2)
        (report,) = verifier.verify([task])
    match, other = report.verdicts
    assert (match.reward, match.masked, match.status) == (None, True, "infra_error")
    assert (other.reward, other.status) == (0.0, "mismatch")


def test_a_match_tried_on_some_copies_earns_nothing_and_costs_nothing(tmp_path: Path) -> None:
    data, copies = write_pets(tmp_path), tmp_path / "copies"
    with VerifierThread([data], workers=1, limits=Limits(), copies_path=copies) as verifier:
        (report,) = verifier.verify([reward_task("pets", [COUNT], [COUNT, "SELECT 3"], copies=2)])
    held, disproved = report.verdicts
    assert (held.reward, disproved.reward) == (1.0, 0.0)
    assert "coincidence" in disproved.flags
    assert held.robust is not None
    some = settled(replace(held, robust=held.robust | {"complete": False}))
    assert (some.reward, some.masked, kind_of(some.status)) == (None, True, "masked")
    assert settled(replace(disproved, robust={"complete": False})).reward == 0.0
