"""Metrics go to other tools if asked for; a missing package is named before a step is taken."""

import contextlib
import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.jobs.rundir import RunDir
from service.jobs.spec import Hyperparameters, JobSpec
from tests.fixtures_trainer import bandit_model, make_run
from trainer.errors import IntegrationMissing
from trainer.integrations import check_integrations, reporting, tags

MODULES = {"mlflow": ["mlflow"], "tensorboard": ["tensorboard", "tensorboardX"], "wandb": ["wandb"]}
ROOT = Path(__file__).parents[1]
VARIABLES = ("TENSORBOARD_LOGGING_DIR", "MLFLOW_TAGS", "WANDB_TAGS", "WANDB_DIR")


def installed(name: str) -> bool:
    return any(importlib.util.find_spec(module) for module in MODULES[name])


@pytest.fixture(autouse=True)
def _same_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables are as before after each test."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def run_with(folder: Path, *names: str) -> RunDir:
    return make_run(folder, folder / "model", integrations=list(names))


def test_nothing_is_reported_unless_asked_for(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    before = dict(os.environ)
    assert reporting(run, run.request(), "grpo") == {"report_to": "none", "run_name": "grpo-grpo"}
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", MODULES)
def test_a_package_that_is_not_installed_is_named_with_its_command(name: Any) -> None:
    if installed(name):
        check_integrations([name])
        return
    with pytest.raises(IntegrationMissing, match=f"pip install {name}") as error:
        check_integrations([name])
    assert (error.value.code, error.value.param) == (
        "integration_missing",
        "hyperparameters.integrations",
    )


def test_an_unknown_integration_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="'mlflow', 'tensorboard' or 'wandb'"):
        Hyperparameters.model_validate({"integrations": ["comet"]})


def test_tags_say_which_job_it_is_whatever_its_metadata_claims(tmp_path: Path) -> None:
    request = run_with(tmp_path).request()
    spec = JobSpec.model_validate(
        request.spec.model_dump() | {"metadata": {"team": "data", "job": "another"}}
    )
    found = tags(request.model_copy(update={"spec": spec}), "offline")
    assert found == {
        "team": "data",
        "job": "job_test",
        "stage": "offline",
        "base_model": "test",
        "seed": "0",
    }
    assert json.loads(json.dumps(found)) == found


def needs(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name}: none of {', '.join(MODULES[name])} is installed")


def test_tensorboard_gets_every_step_in_a_folder_of_the_run(tmp_path: Path) -> None:
    needs("tensorboard")
    run = trained(tmp_path, "tensorboard")
    [written] = (run.path / "tensorboard" / "grpo").rglob("events.out.tfevents.*")
    content = written.read_bytes()
    assert content.count(b"train/loss") == 2
    assert b"grpo-grpo" in content  # The run's name, in the settings.


def test_mlflow_gets_every_step_and_finds_the_job_by_its_tags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("mlflow")
    store = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    trained(tmp_path, "mlflow")
    with contextlib.closing(sqlite3.connect(store)) as kept:
        found = kept.execute(
            "SELECT name, status, metrics.step FROM runs JOIN metrics USING (run_uuid) "
            "JOIN tags USING (run_uuid) WHERE metrics.key = 'loss' "
            "AND tags.key = 'job' AND tags.value = 'job_test' ORDER BY metrics.step"
        ).fetchall()
    assert found == [("grpo-grpo", "FINISHED", 1), ("grpo-grpo", "FINISHED", 2)]


def test_wandb_keeps_a_run_with_its_tags_in_the_folder_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = trained(tmp_path, "wandb")
    [written] = (run.path / "wandb").rglob("run-*.wandb")
    content = written.read_bytes()
    assert content.count(b"train/loss") >= 2
    assert b"job:job_test" in content


def trained(tmp_path: Path, name: str) -> RunDir:
    """Two real steps of transformers' trainer, in a process of their own: what these packages set
    up (threads, handlers, global state) ends with it."""
    run = run_with(tmp_path, name)
    model = bandit_model(tmp_path / "bandit")
    done = subprocess.run(
        [sys.executable, "-c", TWO_STEPS, str(run.path), str(model)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return run


TWO_STEPS = """
import sys
from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from service.jobs.rundir import RunDir
from trainer.integrations import reporting

run = RunDir(Path(sys.argv[1]))
tokens = [2, 3, 4, 5]
arguments = TrainingArguments(
    output_dir=str(run.path / "out"),
    max_steps=2,
    logging_steps=1,
    use_cpu=True,
    save_strategy="no",
    disable_tqdm=True,
    **reporting(run, run.request(), "grpo"),
)
data = Dataset.from_list([{"input_ids": tokens, "labels": tokens}] * 16)
Trainer(AutoModelForCausalLM.from_pretrained(sys.argv[2]), arguments, train_dataset=data).train()
"""
