"""Questions in the folders of published datasets, their ids, and what is said of faulty rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest, SettingsError
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.layouts import Split, question_files
from service.text2sql.questions import read_dataset, read_questions

BIRD = {"db_id": "shop", "question": "How many?", "evidence": "all", "SQL": "SELECT 1"}
SPIDER = {"db_id": "shop", "question": "How many?", "query": "SELECT 1", "query_toks": ["SELECT"]}


def write(path: Path, *rows: dict[str, Any], lines: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("files", "split", "taken"),
    [
        (["train/train.json", "train/train_tables.json"], "train", ["train/train.json"]),
        (["train.json", "train_gold.sql"], "train", ["train.json"]),
        (["dev_20240627/dev.json", "dev_20240627/dev_tied_append.json"], "dev", ["dev.json"]),
        (["train_others.json", "train_spider.json", "tables.json", "dev.json"], "train", ["2"]),
        (["train_spider.json", "dev.json"], "dev", ["dev.json"]),
        (["b.jsonl", "a.jsonl", "notes.json"], "train", ["a.jsonl", "b.jsonl"]),
        (["train-0.jsonl", "dev.jsonl"], "dev", ["dev.jsonl"]),
    ],
)
def test_a_published_folder_is_read_as_it_is(
    tmp_path: Path, files: list[str], split: Split, taken: list[str]
) -> None:
    for name in files:
        write(tmp_path / name, BIRD)
    wanted = ["train_spider.json", "train_others.json"] if taken == ["2"] else taken
    found = question_files(tmp_path, split)
    assert [path.name for path in found] == [Path(name).name for name in wanted]


def test_a_folder_without_questions_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "tables.json", BIRD)
    with pytest.raises(InvalidRequest, match=r"no dev questions; looked for dev\.json, "):
        read_questions(tmp_path, "dev")


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "secret.json", BIRD)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.json").symlink_to(outside)
    with pytest.raises(InvalidRequest, match="no train questions"):
        question_files(tmp_path / "set", "train")


def test_spiders_two_files_are_one_set_with_ids_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "train_spider.json", SPIDER, SPIDER)
    write(tmp_path / "train_others.json", SPIDER)
    found = read_questions(tmp_path, "train")
    ids = ["train_spider:0", "train_spider:1", "train_others:0"]
    assert [question.question_id for question in found] == ids
    assert found[0].gold_sql == "SELECT 1"


def test_ids_that_are_there_twice_are_told_apart_the_same_way_each_time(tmp_path: Path) -> None:
    own = ["a", "a", "a#2", "a", None]
    path = write(tmp_path / "q.json", *(BIRD | {"question_id": name} for name in own))
    ids = [question.question_id for question in read_questions(path)]
    assert ids == ["a", "a#3", "a#2", "a#4", "4"]
    assert ids == [question.question_id for question in read_questions(path)]


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        ({"db_id": "shop", "question": "?"}, r"'query' must be a text.*BIRD calls it 'SQL'"),
        ({"db_id": "shop", "question": "?", "query": 7}, "'query' must be a text.*is 7"),
        ({"question": "?", "SQL": "SELECT 1"}, "'db_id' must be a text.*is None"),
    ],
)
def test_a_faulty_line_is_named_by_its_number_and_field(
    tmp_path: Path, faulty: dict[str, Any], said: str
) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(f"{json.dumps(BIRD)}\n\n{json.dumps(faulty)}\n")
    with pytest.raises(InvalidRequest, match=f"q.jsonl, line 3: {said}"):
        read_questions(path)
    assert list(read_dataset(path).faults) == [1]


def test_a_line_that_is_no_json_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(f'{json.dumps(BIRD)}\n{{"db_id": shop}}\n')
    with pytest.raises(InvalidRequest, match="line 2, column 11"):
        read_questions(path)


def test_a_gold_may_be_missing_where_none_is_needed(tmp_path: Path) -> None:
    bare = {"db_id": "shop", "question": "How many?"}
    path = write(tmp_path / "q.jsonl", bare, BIRD, bare | {"SQL": None}, lines=True)
    found = read_questions(path, need_gold=False)
    assert [question.gold_sql for question in found] == ["", "SELECT 1", ""]
    with pytest.raises(InvalidRequest, match="line 1: 'query'"):
        read_questions(path)


def test_spiders_second_copy_of_its_databases_is_no_conflict(shop: Path, tmp_path: Path) -> None:
    for folder in ("database", "test_database"):
        path = tmp_path / "spider" / folder / "shop" / "shop.sqlite"
        path.parent.mkdir(parents=True)
        path.write_bytes(shop.read_bytes())
    registry = DatabaseRegistry.scan([tmp_path / "spider"])
    assert registry.get("shop").path.parts[-3] == "database"
    path.write_bytes(shop.read_bytes() + b"\0" * 4096)
    with pytest.raises(SettingsError, match="is there twice"):
        DatabaseRegistry.scan([tmp_path / "spider"])
