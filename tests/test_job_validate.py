"""What is found out about a job's data before a machine is used, with real golds and databases."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.jobs.job import Job
from service.jobs.rundir import RunDir, RunError
from service.jobs.spec import JobSpec, RunRequest
from service.jobs.store import JobStore
from service.jobs.supervisor import Supervisor
from service.jobs.validate import Validator
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from tests.fixtures_jobs import model_folder, new_job, starts, until_status
from tests.fixtures_supervisor import drive

FIT = {"db_id": "shop", "question": "How many?", "SQL": "SELECT count(*) FROM customer"}
EMPTY = {"db_id": "shop", "question": "Who?", "SQL": "SELECT name FROM customer WHERE id = 99"}
BROKEN = {"db_id": "shop", "question": "What?", "SQL": "SELECT nothing FROM nowhere"}


def questions(folder: Path, name: str, *rows: dict[str, str]) -> Path:
    path = folder / name
    path.write_text(json.dumps(rows))
    return path


def look(
    folder: Path, train: Path, dev: Path | None = None, *, audit_s: float = 60, **spec: Any
) -> tuple[RunError | None, list[dict[str, Any]]]:
    asked = {"base_model": "m", "train_data": train.name, "dev_data": dev and dev.name} | spec
    run = RunDir(folder / "run")
    run.create(
        RunRequest(
            job_id="job_1",
            spec=JobSpec.model_validate(asked),
            base_model_path=folder,
            train_data_path=train,
            dev_data_path=dev,
            data_dirs=[folder],
        )
    )
    validator = Validator(DatabaseRegistry.scan([folder]), Limits(), audit_s)
    error = asyncio.run(validator.look(run))
    return error, [row for row in run.events() if row["type"] == "audit"]


def test_data_of_which_nothing_is_fit_is_told_with_the_reasons(shop: Path) -> None:
    data = shop.parents[1]
    error, told = look(data, questions(data, "t.json", EMPTY, BROKEN, EMPTY | {"question": "W?"}))
    assert error
    assert (error.code, error.param) == ("no_training_rows", "train_data")
    assert "2 empty, 1 broken" in error.message
    assert told[0]["data"] == {"empty": 2, "broken": 1}


def test_one_fit_question_is_enough_and_the_others_are_counted(shop: Path) -> None:
    data = shop.parents[1]
    error, told = look(data, questions(data, "t.json", FIT, EMPTY))
    assert error is None
    assert told[0]["message"] == "1 of 2 questions are fit to train on; left out: 1 empty"


def test_dev_on_a_copy_of_a_trained_database_is_a_leak(shop: Path) -> None:
    data = shop.parents[1]
    (data / "copy").mkdir()
    (data / "copy" / "copy.sqlite").write_bytes(shop.read_bytes())
    dev = questions(data, "d.json", FIT | {"db_id": "copy", "question": "Where?"})
    error, _ = look(data, questions(data, "t.json", FIT), dev)
    assert error
    assert (error.code, error.param) == ("dev_leaks_into_train", "dev_data")
    assert "shop (in dev: the same file as copy)" in error.message


def test_golds_that_nobody_needs_are_not_run(shop: Path) -> None:
    data = shop.parents[1]
    asked = {"offline": {"labels": "consensus"}}
    train = questions(data, "t.json", {"db_id": "shop", "question": "How many?"})
    assert look(data, train, recipe=["offline"], hyperparameters=asked) == (None, [])


def test_no_time_for_the_audit_leaves_it_to_the_trainer(shop: Path) -> None:
    data = shop.parents[1]
    assert look(data, questions(data, "t.json", BROKEN), audit_s=0) == (None, [])


@pytest.mark.parametrize(
    ("rows", "status", "code"),
    [((EMPTY,), "failed", "no_training_rows"), ((FIT,), "succeeded", None)],
)
def test_a_job_uses_a_machine_only_if_its_data_is_fit(
    shop: Path, rows: tuple[dict[str, str], ...], status: str, code: str | None
) -> None:
    data = shop.parents[1]
    questions(data, "t.json", *rows)
    model_folder(data / "model")

    async def use(store: JobStore, supervisor: Supervisor) -> Job:
        job = await store.create(new_job(data, train_data="t.json"))
        return await until_status(store, job.id, "failed", "succeeded", ticking=supervisor)

    job = drive(data, ("train", "succeed"), use, job_audit_s=60)
    assert (job.status, job.error.code if job.error else None) == (status, code)
    assert len(starts(job.run_dir)) == (0 if code else 1)
    assert (job.validated_at is None) == bool(code)
