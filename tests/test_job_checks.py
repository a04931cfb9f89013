"""What is refused before anything is spent."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.demo import questions_path
from service.errors import (
    InvalidRequest,
    ModelUnavailable,
    NoDiskSpace,
    TooLarge,
    UnknownDataset,
    UnsupportedValue,
)
from service.jobs import datasets
from service.jobs.checks import (
    Checks,
    Machine,
    check_apart,
    check_disk,
    check_installed,
    check_resources,
)
from service.jobs.datasets import dataset_db_ids, find_dataset, find_questions
from service.jobs.resources import Resources
from service.jobs.spec import JobSpec
from service.text2sql.databases import DatabaseRegistry
from tests.fixtures_jobs import model_folder

LAPTOP = Machine(cpus=2, memory_gb=16.0, gpus=0)
ROW = {"db_id": "shop", "question": "How many?", "SQL": "SELECT 1"}


@pytest.mark.parametrize(("steps", "per_step"), [(500_000, 2), (3906, 256)])
def test_as_many_prompts_as_the_limit_allows_can_be_asked(steps: int, per_step: int) -> None:
    spec = {"base_model": "m", "train_data": "demo", "max_steps": steps}
    chosen = {"prompts_per_step": per_step}
    assert JobSpec.model_validate(spec | {"hyperparameters": chosen}).max_steps == steps
    with pytest.raises(ValidationError, match=f"at most {steps} steps"):
        JobSpec.model_validate(spec | {"hyperparameters": chosen, "max_steps": steps + 1})


def test_a_jobs_template_is_pinned_to_its_version() -> None:
    spec = {"base_model": "m", "train_data": "demo"}
    chosen = JobSpec.model_validate(spec | {"hyperparameters": {"template": "m_schema"}})
    assert chosen.hyperparameters.template == "m_schema-v1"
    with pytest.raises(ValidationError, match="'m_schema-v0' is not a prompt template; known: ddl"):
        JobSpec.model_validate(spec | {"hyperparameters": {"template": "m_schema-v0"}})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "bird").mkdir(parents=True)
    (folder / "bird" / "train.json").write_text(json.dumps([ROW]))
    (tmp_path / "secret.json").write_text(json.dumps([ROW]))
    return folder


def test_demo_is_the_data_set_that_ships(data: Path) -> None:
    assert find_dataset("demo", [], "train_data") == questions_path()


def test_a_data_set_is_found_by_relative_and_absolute_name(data: Path) -> None:
    path = data / "bird" / "train.json"
    assert find_dataset("bird/train.json", [data.parent / "none", data], "train_data") == path
    assert find_dataset(str(path), [data], "train_data") == path


@pytest.mark.parametrize(
    "name",
    ["../secret.json", "bird/../../secret.json", "link.json", "bird", "x\0y", "n" * 999, "~"],
)
def test_what_is_not_a_file_inside_is_unknown(data: Path, name: str) -> None:
    (data / "link.json").symlink_to(data.parent / "secret.json")
    with pytest.raises(UnknownDataset, match="inside a data folder") as caught:
        find_dataset(name, [data], "dev_data")
    assert caught.value.param == "dev_data"


def test_an_absolute_name_outside_is_unknown_whether_it_exists_or_not(data: Path) -> None:
    for name in (data.parent / "secret.json", data.parent / "nothing.json"):
        with pytest.raises(UnknownDataset):
            find_dataset(str(name), [data], "train_data")


def test_a_folder_of_a_published_layout_gives_its_file_by_split(data: Path) -> None:
    for name in ("dev.json", "train_others.json", "train_spider.json"):
        (data / name).write_text(json.dumps([ROW]))
    assert find_questions("bird", [data], "train_data", "train") == data / "bird" / "train.json"
    assert find_questions(".", [data], "dev_data", "dev") == data / "dev.json"
    assert find_questions(".", [data], "train_data", "train") == data  # of two files
    assert dataset_db_ids(data, "train_data", "train") == ["shop"]


def test_a_folder_without_questions_names_the_field(data: Path) -> None:
    with pytest.raises(InvalidRequest, match="no dev questions") as caught:
        find_questions("bird", [data], "dev_data", "dev")
    assert caught.value.param == "dev_data"


def test_a_folder_outside_is_unknown(data: Path) -> None:
    with pytest.raises(UnknownDataset, match="no file or folder inside a data folder"):
        find_questions("..", [data], "train_data", "train")


def test_the_databases_of_a_data_set_are_listed_once(data: Path) -> None:
    rows = [ROW, ROW | {"db_id": "a"}, ROW]
    (data / "d.json").write_text(json.dumps(rows))
    assert dataset_db_ids(data / "d.json", "train_data") == ["a", "shop"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ("{}", "list"),
        ("[]", "list"),
        ("[1]", "row 0"),
        (json.dumps([ROW, ROW | {"db_id": ""}]), "row 1"),
        ('[{"db_id": "shop", "question": "?"}]', "row 0"),
        ("[" * 100_000, "nested"),
    ],
)
def test_a_faulty_data_set_is_refused_with_its_row(data: Path, text: str, said: str) -> None:
    (data / "d.json").write_text(text)
    with pytest.raises(InvalidRequest, match=said) as caught:
        dataset_db_ids(data / "d.json", "train_data")
    assert caught.value.param == "train_data"


def test_a_huge_data_set_is_refused_unread(data: Path) -> None:
    with (data / "d.json").open("wb") as file:
        file.truncate(datasets.MAX_BYTES + 1)
    with pytest.raises(TooLarge):
        dataset_db_ids(data / "d.json", "train_data")


@pytest.mark.parametrize("stage", ["select", "evaluate"])
def test_stages_that_measure_need_dev_data(stage: str) -> None:
    spec = {"base_model": "m", "train_data": "demo", "recipe": [stage]}
    with pytest.raises(ValidationError, match=f"the stage '{stage}' needs dev_data") as caught:
        JobSpec.model_validate(spec)
    assert caught.value.errors()[0]["loc"] == ("dev_data",)
    assert JobSpec.model_validate(spec | {"dev_data": "dev"}).dev_data == "dev"


@pytest.mark.parametrize(
    ("recipe", "offline", "needs"),
    [
        (["grpo"], {"labels": "consensus"}, True),
        (["offline"], {"labels": "consensus"}, False),
        (["offline"], {"labels": "consensus", "train_on_gold": True}, True),
        (["offline"], {}, True),
    ],
)
def test_gold_is_needed_where_it_judges_or_is_trained_on(
    recipe: list[str], offline: dict[str, object], needs: bool
) -> None:
    spec = {"base_model": "m", "train_data": "demo", "recipe": recipe}
    chosen = {"hyperparameters": {"offline": offline}}
    assert JobSpec.model_validate(spec | chosen).needs_gold is needs


def test_no_candidates_go_with_golds_alone() -> None:
    spec = {"base_model": "m", "train_data": "demo", "recipe": ["offline"]}
    bare = {"hyperparameters": {"offline": {"samples": 0}}}
    with pytest.raises(ValidationError, match="samples=0 leaves nothing to learn from"):
        JobSpec.model_validate(spec | bare)
    golds = {"hyperparameters": {"offline": {"samples": 0, "train_on_gold": True}}}
    assert JobSpec.model_validate(spec | golds).needs_gold


def test_databases_that_train_and_dev_share_are_named() -> None:
    check_apart(["a", "b"], ["c"])
    with pytest.raises(InvalidRequest, match=r"both ask about a, b, c and 1 more: ") as caught:
        check_apart(["a", "b", "c", "d"], ["d", "c", "b", "a", "e"])
    assert caught.value.param == "dev_data"


@pytest.mark.parametrize(
    ("asked", "param", "kind"),
    [
        ({"train_data": "lost.json"}, "train_data", UnknownDataset),
        ({"dev_data": "lost.json"}, "dev_data", UnknownDataset),
        ({"dev_data": "bird"}, "dev_data", InvalidRequest),
        ({"dev_data": "elsewhere.json"}, "dev_data", InvalidRequest),
        ({"dev_data": "same.json"}, "dev_data", InvalidRequest),
        ({"verify_url": "http://elsewhere"}, "verify_url", UnsupportedValue),
        (
            {"hyperparameters": {"select": {"base_models": ["no such model"]}}},
            "hyperparameters.select.base_models",
            ModelUnavailable,
        ),
    ],
)
def test_whatever_a_job_names_is_looked_for_before_it_is_queued(
    data: Path, shop: Path, asked: dict[str, object], param: str, kind: type[Exception]
) -> None:
    (data / "elsewhere.json").write_text(json.dumps([ROW | {"db_id": "nowhere"}]))
    (data / "same.json").write_text(json.dumps([ROW | {"question": "Who?"}]))
    (data / "dev.json").write_text(json.dumps([ROW | {"db_id": "other"}]))
    other = data / "other" / "other.sqlite"
    other.parent.mkdir()
    other.write_bytes(shop.read_bytes())
    checks = Checks(DatabaseRegistry.scan([data]), [data], data / "models", data / "runs")
    spec = {"base_model": str(model_folder(data / "model")), "train_data": "bird"} | {
        "dev_data": "dev.json",
        "recipe": ["select"],
    }
    checks.check(JobSpec.model_validate(spec))
    with pytest.raises(kind) as caught:
        checks.check(JobSpec.model_validate(spec | asked))
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"nodes": 2}, "resources.nodes"),
        ({"gpus_per_node": 1}, "resources.gpus_per_node"),
        ({"cpus": 3}, "resources.cpus"),
        ({"memory_gb": 16.5}, "resources.memory_gb"),
    ],
)
def test_more_than_the_machine_has_is_refused(asked: dict[str, float], param: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        check_resources(Resources.model_validate(asked), LAPTOP)
    assert caught.value.param == param


def test_defaults_ask_for_nothing() -> None:
    check_resources(Resources(), Machine(cpus=1, memory_gb=2.0, gpus=0))


def test_missing_packages_are_named_with_the_remedy() -> None:
    check_installed(["json"])
    with pytest.raises(UnsupportedValue, match=r"no_such_thing.*\[train\]"):
        check_installed(["json", "no_such_thing"])


def test_a_full_disk_is_said_before_the_run(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "yet" / "there", min_free_bytes=1)
    with pytest.raises(NoDiskSpace, match="GiB free"):
        check_disk(tmp_path, min_free_bytes=2**60)
