"""What is exported is what was trained, says where it is from, and is whole or not there."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir
from service.models.adapter_files import check_adapter
from service.models.catalogue import KNOWN as CATALOGUE
from service.models.parity import read_record
from service.models.registry import ServedModel
from tests.fixtures_export import exported_run
from trainer.errors import ExportRefused
from trainer.export.__main__ import main
from trainer.export.about import About
from trainer.export.base import KNOWN, PublicBase, public_base
from trainer.export.policy import export_policy

pytestmark = pytest.mark.training
HOSTILE = "x` | <script>alert(1)</script>\n---\nlicense: evil"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return exported_run(tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def base(run: RunDir) -> Path:
    return run.request().base_model_path


@pytest.fixture(scope="module")
def adapter(run: RunDir, base: Path) -> Path:
    out = run.path.parent / "adapter"
    about = About(datasets=("spider",), data_license="CC BY-SA 4.0", limits=("One more.",))
    return export_policy(run.path, base, out, about=about)


@pytest.fixture(scope="module")
def merged(run: RunDir, base: Path) -> Path:
    return export_policy(run.path, base, run.path.parent / "merged", merged=True)


def front_matter(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text()
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def logits(model: Path, adapter: Path | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        if adapter:
            policy = PeftModel.from_pretrained(policy, str(adapter))
        with torch.no_grad():
            return policy(torch.tensor([[2, 3, 4, 5, 1, 0]])).logits


def test_an_adapter_in_fp32_is_the_trained_one_to_the_last_bit(
    run: RunDir, base: Path, tmp_path: Path
) -> None:
    out = export_policy(run.path, base, tmp_path / "out", dtype="fp32", canaries=0)
    trained = logits(base, run.checkpoints_path / "step_3")
    assert (logits(base, out) == trained).all()
    assert abs(trained - logits(base)).max() > 0.01


def test_an_adapter_in_bf16_is_half_as_large_and_near(
    run: RunDir, base: Path, adapter: Path
) -> None:
    trained = run.checkpoints_path / "step_3"
    assert abs(logits(base, adapter) - logits(base, trained)).max() < 0.01
    sizes = [(f / "adapter_model.safetensors").stat().st_size for f in (adapter, trained)]
    assert sizes[0] < 0.7 * sizes[1]


def test_merged_weights_answer_as_the_adapter_does(run: RunDir, base: Path, merged: Path) -> None:
    trained = logits(base, run.checkpoints_path / "step_3")
    assert abs(logits(merged) - trained).max() < 0.02
    assert abs(logits(merged) - logits(base)).max() > 0.05


def test_a_checkpoint_of_all_weights_is_exported_merged_alone(
    run: RunDir, base: Path, merged: Path, tmp_path: Path
) -> None:
    folder = run.checkpoints_path / "step_2"
    shutil.copytree(merged, folder)
    try:
        with pytest.raises(ExportRefused, match="export it merged"):
            export_policy(folder, base, tmp_path / "out")
        out = export_policy(folder, base, tmp_path / "out", merged=True, canaries=0)
    finally:
        shutil.rmtree(folder)
    assert (logits(out) == logits(merged)).all()


def test_an_export_is_the_same_bytes_each_time(run: RunDir, base: Path, adapter: Path) -> None:
    again = export_policy(run.path, base, run.path.parent / "again")
    names = {path.name for path in adapter.iterdir()} - {"README.md"}
    assert {"adapter_model.safetensors", "adapter_config.json", "canary.json"} < names
    for name in names:
        assert (again / name).read_bytes() == (adapter / name).read_bytes(), name


def test_the_service_takes_the_adapter_and_its_canary(adapter: Path, base: Path) -> None:
    served = ServedModel("test", "local:1", base)
    found = check_adapter(adapter, served, max_rank=16)
    assert (found.rank, found.base_name) == (4, "test")
    recorded = read_record(adapter)
    assert len(recorded) == 3
    assert all(logprob <= 0 for item in recorded for logprob in item.logprobs)
    assert [m["role"] for m in recorded[0].messages] == ["system", "user"]


def test_the_canary_is_what_the_written_adapter_says(adapter: Path, base: Path) -> None:
    item = read_record(adapter)[0]
    import torch

    from trainer.export.weights import load_exported

    prompt = item.prompt_tokens
    with torch.no_grad():
        found = load_exported(base, adapter)(torch.tensor([[*prompt, *item.tokens]])).logits
    logps = found.float().log_softmax(-1)[0, len(prompt) - 1 : -1]
    told = logps.gather(-1, torch.tensor(item.tokens)[:, None])[:, 0]
    assert told.tolist() == pytest.approx(item.logprobs, abs=0.05)


def test_no_file_names_a_folder_of_this_machine(adapter: Path, merged: Path, run: RunDir) -> None:
    for path in [*adapter.iterdir(), *merged.iterdir()]:
        content = path.read_bytes()
        assert str(run.path.parents[1]).encode() not in content, path.name


def test_the_hub_can_read_the_card(adapter: Path, merged: Path) -> None:
    found = front_matter(adapter)
    assert (found["base_model"], found["datasets"], found["license"]) == (
        "test",
        ["spider"],
        "unknown",
    )
    assert (found["library_name"], found["pipeline_tag"]) == ("peft", "text-generation")
    assert (found["language"], found["base_model_relation"]) == ("en", "adapter")
    [result] = found["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.34
    assert result["dataset"]["name"] == "dev.json"
    assert front_matter(merged)["library_name"] == "transformers"


def test_the_card_tells_numbers_data_recipe_limits_and_hashes(adapter: Path) -> None:
    text = (adapter / "README.md").read_text()
    for told in (
        "| `base` | 20.0% | 13.3% to 28.9% | 20 of 100 |",
        "| `base` | `grpo_step_3` | +14.0 | +5.9 to +22.1 | 16, 2 | 0.0013 |",
        "on `dev.json`, of whose 1 databases 1 were trained on;",
        "3 questions were trained on; left out: `gold_empty` 2.",
        "CC BY-SA 4.0",
        "| learning_rate | `5e-05` |",
        "| grpo | 1 | 0.01 | 900 |",
        "- One more.",
        "0.1.0+verdicts-2",
        "SHA-256 of adapter_model.safetensors",
    ):
        assert told in text


def test_hostile_names_stay_texts(run: RunDir, base: Path, tmp_path: Path) -> None:
    about = About(name=HOSTILE, datasets=(HOSTILE,))
    public = PublicBase(HOSTILE, HOSTILE)
    out = export_policy(run.path, base, tmp_path / "out", base=public, about=about, canaries=0)
    text = (out / "README.md").read_text()
    assert front_matter(out)["license"] == "unknown"
    assert text.count("\n---\n") == 1
    assert "# x` | &lt;script&gt;" in text


def test_a_folder_in_the_way_is_left_alone(run: RunDir, base: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ExportRefused, match="exists already"):
        export_policy(run.path, base, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


def test_an_export_that_fails_leaves_nothing(run: RunDir, base: Path, tmp_path: Path) -> None:
    request = run.request()
    path = run.path / "job.json"
    kept = path.read_text()
    try:
        path.write_text(request.model_copy(update={"data_dirs": [tmp_path]}).model_dump_json())
        with pytest.raises(ExportRefused, match="its databases are not in the run's data_dirs"):
            export_policy(run.path, base, tmp_path / "out")
    finally:
        path.write_text(kept)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_no_numbers_are_refused(base: Path, tmp_path: Path) -> None:
    from tests.fixtures_export import write_adapter_checkpoint

    run = exported_run(tmp_path / "a")
    write_adapter_checkpoint(run.checkpoints_path / "step_5", base, scale=float("inf"))
    with pytest.raises(ExportRefused, match="holds a NaN or an infinity"):
        export_policy(run.path, base, tmp_path / "out", checkpoint=5)


@pytest.mark.parametrize(
    ("folder", "checkpoint", "error", "message"),
    [
        ("run", 7, ExportRefused, "has no checkpoint 7; there are: 3"),
        (".", None, InvalidRequest, "job.json is missing"),
    ],
)
def test_what_is_not_there_is_named(
    run: RunDir, base: Path, tmp_path: Path, folder: str, checkpoint: int | None, error: Any,
    message: str,
) -> None:  # fmt: skip
    with pytest.raises(error, match=message):
        export_policy(run.path.parent / folder, base, tmp_path / "out", checkpoint=checkpoint)


def test_the_command_says_why_it_refuses(
    run: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run.path), "--checkpoint", "9", "--out", str(tmp_path / "out")]) == 1
    assert "export_refused" in capsys.readouterr().err


def test_the_known_models_are_those_of_the_service(tmp_path: Path) -> None:
    assert {name: (base.name, base.revision) for name, base in KNOWN.items()} == {
        name: (known.hub_id, known.hub_revision) for name, known in CATALOGUE.items()
    }


@pytest.mark.parametrize(
    ("name", "public", "revision"),
    [
        ("org/model@" + "a" * 40, "org/model", "a" * 40),
        ("/home/me/models/mine", "mine", None),
        ("./models/mine", "mine", None),
    ],
)
def test_a_base_of_the_users_own_goes_by_its_public_name(
    tmp_path: Path, name: str, public: str, revision: str | None
) -> None:
    found = public_base(name, tmp_path)
    assert (found.name, found.revision) == (public, revision)
