"""What the card and the prompts of an export are read from: datasets in folders, what was best."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from service.jobs.rundir import RunDir
from service.text2sql.prompt import DEFAULT
from tests.fixtures_export import NUMBERS, write_stage
from tests.fixtures_trainer import EASY, make_run, write_questions
from trainer.data_files import GONE
from trainer.errors import ExportRefused
from trainer.export.about import About
from trainer.export.card_recipe import data_section
from trainer.export.card_text import numbers_section
from trainer.export.prompts import run_prompts
from trainer.export.source import find_source

NOT_BETTER = {"best": "base", "best_checkpoint": None}


def evaluated(folder: Path, numbers: dict[str, Any] | None = None) -> RunDir:
    """A run with a checkpoint that nobody opens, and accuracies."""
    run = make_run(folder, folder)
    (run.checkpoints_path / "step_3").mkdir(parents=True)
    told = NUMBERS | (numbers or {})
    write_stage(run, "grpo", {"checkpoint": 3}, {})
    write_stage(run, "evaluate", {"checkpoint": told["best_checkpoint"]}, told)
    return run


def change(run: RunDir, **fields: Any) -> None:
    request = run.request().model_copy(update=fields)
    (run.path / "job.json").write_text(request.model_dump_json())


def test_where_nothing_did_better_than_the_base_a_checkpoint_must_be_named(tmp_path: Path) -> None:
    run = evaluated(tmp_path, NOT_BETTER)
    with pytest.raises(ExportRefused, match=r"no checkpoint did better than base: .* there are: 3"):
        find_source(run.path)
    named = find_source(run.path, 3)
    assert (named.number, named.start_was_best) == (3, "base")
    assert "**On dev no checkpoint did better than `base`.**" in numbers_section(named)


def test_the_best_checkpoint_needs_no_name_and_no_warning(tmp_path: Path) -> None:
    source = find_source(evaluated(tmp_path).path)
    assert (source.number, source.start_was_best) == (3, None)
    assert "did better than" not in numbers_section(source)


def test_a_folder_dataset_is_told_by_its_own_files_and_splits(tmp_path: Path) -> None:
    folder = tmp_path / "spider"
    folder.mkdir()
    for name, db_id in (("train_spider", "pets"), ("train_others", "cars"), ("dev", "ships")):
        write_questions(folder / f"{name}.json", EASY, db_id)
    run = evaluated(tmp_path / "job")
    change(run, train_data_path=folder, dev_data_path=folder)
    source = find_source(run.path)
    told = data_section(source, About())
    for name in ("train_spider.json", "train_others.json", "dev.json"):
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert f"`spider/{name}` | `{digest}`" in told
    assert "on `spider`, 1 databases of which none was trained on" in numbers_section(source)


def test_files_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    run = evaluated(tmp_path / "job")
    change(run, train_data_path=tmp_path / "moved", dev_data_path=tmp_path / "moved.json")
    told = data_section(find_source(run.path), About())
    assert told.count(GONE) == 2


def test_prompts_are_of_the_folders_dev_part_and_of_train_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    write_questions(folder / "train.json", EASY)
    write_questions(folder / "dev.json", [("Which ships?", "SELECT 1")], "ships")
    run = evaluated(tmp_path / "job")
    change(run, train_data_path=folder, dev_data_path=folder)
    with pytest.raises(ExportRefused, match="no prompt can be made of data"):
        run_prompts(run.request(), DEFAULT, lambda messages: 1, 2)  # There are no ships.
    change(run, train_data_path=folder, dev_data_path=None)
    assert len(run_prompts(run.request(), DEFAULT, lambda messages: 1, 2)) == 2
