"""The questions of a run: both sets read, kept apart and filtered."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.jobs.spec import JobSpec, RunRequest
from service.sandbox.limits import Limits
from tests.fixtures_trainer import EASY, write_pets, write_questions
from trainer.errors import DevLeaksIntoTrain
from trainer.questions import read_all
from trainer.verifier_thread import VerifierThread


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = write_pets(tmp_path_factory.mktemp("questions"))
    with VerifierThread([data], workers=1, limits=Limits()) as started:
        yield started


def request(train: Path, dev: Path | None = None, **spec: Any) -> RunRequest:
    given = {"base_model": "m", "train_data": "t", "dev_data": dev and "d"} | spec
    return RunRequest(
        job_id="job_test",
        spec=JobSpec.model_validate(given),
        base_model_path=train,
        train_data_path=train,
        dev_data_path=dev,
        data_dirs=[],
    )


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_questions(tmp_path / "train.json", EASY)


def test_both_sets_are_read_and_train_alone_is_filtered(
    verifier: VerifierThread, train: Path, tmp_path: Path
) -> None:
    dev = write_questions(tmp_path / "dev.json", EASY, "elsewhere")
    found = read_all(request(train, dev, hyperparameters={"data": {"questions": 1}}), verifier)
    assert (len(found.train), len(found.dev)) == (1, 3)
    assert found.dropped == {"not_sampled": 2}


def test_a_run_without_dev_data_has_no_dev_questions(verifier: VerifierThread, train: Path) -> None:
    found = read_all(request(train), verifier)
    assert (len(found.train), found.dev, found.dropped) == (3, [], {})


def test_one_folder_gives_train_and_dev(
    verifier: VerifierThread, train: Path, tmp_path: Path
) -> None:
    write_questions(tmp_path / "dev.json", EASY[:1], "elsewhere")
    found = read_all(request(tmp_path, tmp_path), verifier)
    assert [len(found.train), len(found.dev)] == [3, 1]


def test_the_same_file_as_train_and_dev_is_refused_under_any_name(
    verifier: VerifierThread, train: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    copy.write_bytes(train.read_bytes())
    for dev in (train, copy):
        with pytest.raises(DevLeaksIntoTrain, match="are the same questions"):
            read_all(request(train, dev), verifier)


def test_dev_on_a_database_of_train_is_refused_even_if_the_sample_leaves_it_out(
    verifier: VerifierThread, tmp_path: Path
) -> None:
    rows = [{"db_id": db_id, "question": "?", "SQL": "SELECT 1"} for db_id in ["a"] * 9 + ["pets"]]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    dev = write_questions(tmp_path / "dev.json", EASY)
    with pytest.raises(DevLeaksIntoTrain, match="1 databases: pets"):
        read_all(
            request(tmp_path / "train.json", dev, hyperparameters={"data": {"questions": 1}}),
            verifier,
        )


def test_questions_without_gold_are_read_where_only_agreement_counts(
    verifier: VerifierThread, tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"db_id": "pets", "question": "Who?"}')
    offline = {"hyperparameters": {"offline": {"labels": "consensus"}}, "recipe": ["offline"]}
    assert read_all(request(path, **offline), verifier).train[0].gold_sql == ""
    with pytest.raises(InvalidRequest, match="line 1: 'query'"):
        read_all(request(path, **(offline | {"recipe": ["offline", "grpo"]})), verifier)


def test_a_missing_dev_file_is_named(verifier: VerifierThread, train: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"gone\.json cannot be read"):
        read_all(request(train, tmp_path / "gone.json"), verifier)
