"""A checkpoint says which packages it was made with, and so do the report and an exported card."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

from tests.fixtures_report import full_run
from tests.test_trainer_rows import ROWS, context
from trainer.checkpoint import partial_path
from trainer.dataset import Prepared
from trainer.export.base import PublicBase
from trainer.export.card_text import origin_section
from trainer.export.source import find_source
from trainer.manifest import keeper
from trainer.report import write_report
from trainer.versions import versions


def test_packages_are_told_with_their_versions() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert {name: found[name] for name in ("torch", "transformers", "trl", "peft", "verisql")} == {
        name: version(name) for name in ("torch", "transformers", "trl", "peft", "verisql")
    }


def test_the_manifest_of_a_checkpoint_has_them(tmp_path: Path) -> None:
    questions = tmp_path / "train.json"
    questions.write_text(json.dumps(ROWS))
    with context(tmp_path, questions) as given:
        written = partial_path(given.run) / "checkpoint-1"
        written.mkdir(parents=True)
        folder = keeper(given, "grpo", Prepared()).publish(written, 1, {})
    assert json.loads((folder / "manifest.json").read_bytes())["packages"] == versions()


def test_and_the_hashes_of_the_data(tmp_path: Path) -> None:
    questions = tmp_path / "train.json"
    questions.write_text(json.dumps(ROWS))
    digest = hashlib.sha256(questions.read_bytes()).hexdigest()
    with context(tmp_path, questions) as given:
        written = partial_path(given.run) / "checkpoint-1"
        written.mkdir(parents=True)
        folder = keeper(given, "grpo", Prepared()).publish(written, 1, {})
    told = json.loads((folder / "manifest.json").read_bytes())
    assert told["train_data"] == {"train.json": digest}
    assert told["dev_data"] is None


def test_report_and_card_tell_those_of_the_training(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    path = run.checkpoints_path / "step_160" / "manifest.json"
    told = json.loads(path.read_bytes()) | {"packages": {"torch": "1.2.3", "trl": "4.5"}}
    path.write_text(json.dumps(told))
    page = write_report(run).read_text()
    assert "packages.torch" in page
    assert "1.2.3" in page
    card = origin_section(find_source(run.path), PublicBase("base"), {})
    assert "| packages in training | `torch 1.2.3, trl 4.5` |" in card
