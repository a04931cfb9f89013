"""The rows of a training stage, from a run's request: the same in every session."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec, RunRequest
from service.sandbox.limits import Limits
from service.text2sql.prompt import DEFAULT
from tests.fixtures_trainer import write_pets
from trainer.context import Context, Policy
from trainer.dataset import Messages
from trainer.errors import TrainingRowsChanged
from trainer.files import COPIES, GOLDS
from trainer.stopping import Stopper
from trainer.training_rows import training_rows
from trainer.verifier_thread import VerifierThread

ROWS = [
    {"db_id": "pets", "question": "Who?", "SQL": "SELECT name FROM pets", "difficulty": "simple"},
    {"db_id": "pets", "question": "How old?", "SQL": "SELECT age FROM pets", "difficulty": "hard"},
    {"db_id": "pets", "question": "How old is Rex?", "SQL": "SELEC", "difficulty": "hard"},
]
Make = Callable[..., Context]


def length(messages: Messages) -> int:
    return sum(len(message["content"].split()) for message in messages)


@contextmanager
def context(folder: Path, questions: Path, **spec: Any) -> Iterator[Context]:
    """Of the first stage of a run; a session of its own."""
    given = {"base_model": "m", "train_data": "t"} | spec
    run = RunDir(folder / "run")
    run.path.mkdir(exist_ok=True)
    request = RunRequest(
        job_id="job_test",
        spec=JobSpec.model_validate(given),
        base_model_path=folder,
        train_data_path=questions,
        data_dirs=[folder],
    )
    policy = Policy(base_model="m", base_model_path=folder, template=str(DEFAULT))
    with VerifierThread(
        request.data_dirs, workers=1, limits=Limits(), copies_path=run.path / COPIES
    ) as verifier:
        yield Context(run, request, verifier, Stopper(), policy, 0)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    write_pets(tmp_path)
    path = tmp_path / "train.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_filters_and_audit_are_counted_together(tmp_path: Path, questions: Path) -> None:
    data = {"hyperparameters": {"data": {"difficulty": ["hard"]}}}
    with context(tmp_path, questions, **data) as given:
        prepared = training_rows(given, "grpo", length, 1000)
    assert [row.question.question for row in prepared.rows] == ["How old?"]
    assert prepared.dropped == {"other_difficulty": 1, "gold_error": 1}


def test_values_are_in_the_prompts_unless_they_are_turned_off(
    tmp_path: Path, questions: Path
) -> None:
    questions.write_text(json.dumps([ROWS[0] | {"question": "How old is Rex?"}]))
    for wanted in (True, False):
        with context(tmp_path, questions, hyperparameters={"values": wanted}) as given:
            (row,) = training_rows(given, "grpo", length, 1000).rows
        assert ("pets.name = 'Rex'" in row.prompt[-1]["content"]) is wanted


def test_a_later_session_takes_the_golds_as_they_were(tmp_path: Path, questions: Path) -> None:
    with context(tmp_path, questions) as given:
        first = training_rows(given, "grpo", length, 1000)
    kept = tmp_path / "run" / GOLDS
    written = kept.stat().st_mtime_ns
    with context(tmp_path, questions) as given:
        again = training_rows(given, "grpo", length, 1000)
    assert (again.rows, again.dropped) == (first.rows, first.dropped)
    assert kept.stat().st_mtime_ns == written


def test_a_question_that_failed_once_stays_out_for_the_whole_run(
    tmp_path: Path, questions: Path
) -> None:
    every = json.loads(questions.read_bytes())
    questions.write_text(json.dumps(every[1:]))  # As where the first one's gold could not be run.
    with context(tmp_path, questions) as given:
        first = training_rows(given, "grpo", length, 1000)
    rows = [row | {"question_id": n} for n, row in enumerate(every[1:])]
    questions.write_text(json.dumps([every[0] | {"question_id": 7}, *rows]))
    with context(tmp_path, questions) as given:
        again = training_rows(given, "grpo", length, 1000)
        other = training_rows(given, "offline", length, 1000)
    assert [row.question_id for row in again.rows] == [row.question_id for row in first.rows]
    assert [row.question_id for row in other.rows] == ["7", "0"]


@pytest.mark.parametrize("change", [{"SQL": "SELECT id FROM pets"}, {"question": "Who else?"}])
def test_a_run_whose_questions_have_changed_refuses_to_go_on(
    tmp_path: Path, questions: Path, change: dict[str, str]
) -> None:
    with context(tmp_path, questions) as given:
        training_rows(given, "grpo", length, 1000)
    questions.write_text(json.dumps([ROWS[0] | change, *ROWS[1:]]))
    with (
        context(tmp_path, questions) as given,
        pytest.raises(TrainingRowsChanged, match=r"as they were: 0 \(grpo/rows.json\)"),
    ):
        training_rows(given, "grpo", length, 1000)


def test_pass_rates_of_the_offline_stage_choose_the_rows_of_grpo(
    tmp_path: Path, questions: Path
) -> None:
    offline = tmp_path / "run" / "stages" / "offline"
    offline.mkdir(parents=True)
    told = {"question_id": "0", "completions": [{"reward": 1.0, "status": "match"}]}
    (offline / "candidates.jsonl").write_text(f"{json.dumps(told)}\n")
    data = {"hyperparameters": {"data": {"max_pass_rate": 0.9}}}
    with context(tmp_path, questions, **data) as given:
        prepared = training_rows(given, "grpo", length, 1000)
        whole = training_rows(given, "offline", length, 1000)
    assert [row.question_id for row in prepared.rows] == ["1"]
    assert prepared.dropped == {"gold_error": 1, "too_easy": 1}
    assert prepared.templates.total() == 1
    assert [row.question_id for row in whole.rows] == ["0", "1"]


def test_agreement_needs_no_gold_and_runs_none(tmp_path: Path, questions: Path) -> None:
    bare = {"db_id": "pets", "question": "Which?"}
    questions.write_text(json.dumps([*ROWS, bare]))
    offline = {"hyperparameters": {"offline": {"labels": "consensus"}}, "recipe": ["offline"]}
    with context(tmp_path, questions, **offline) as given:
        prepared = training_rows(given, "offline", length, 1000)
    assert [row.gold_sql for row in prepared.rows][2:] == [["SELEC"], []]
    assert not (tmp_path / "run" / GOLDS).exists()


@pytest.mark.parametrize(
    ("file", "databases", "gold"),
    [
        ("train/train.json", "train/train_databases", "SQL"),
        ("train_spider.json", "database", "query"),
        ("train.jsonl", "databases", "SQL"),
    ],
)
def test_a_published_folder_becomes_rows_with_its_descriptions(
    tmp_path: Path, file: str, databases: str, gold: str
) -> None:
    published = tmp_path / "published"
    (published / databases).mkdir(parents=True)
    write_pets(tmp_path).joinpath("pets").rename(published / databases / "pets")
    described = published / databases / "pets" / "database_description"
    described.mkdir()
    header = "original_column_name,column_name,column_description"
    (described / "pets.csv").write_text(f"{header}\nage,age,in whole years\n")
    row = {"db_id": "pets", "question": "Who?", gold: "SELECT name FROM pets"}
    one = json.dumps(row)
    (published / file).write_text(f"{one}\n" if file.endswith("l") else f"[{one}]")
    with context(tmp_path, published) as given:
        (found,) = training_rows(given, "grpo", length, 1000).rows
    assert found.gold_sql == ["SELECT name FROM pets"]
    assert "in whole years" in found.prompt[-1]["content"]
