"""Tuned models: an adapter that the package carries becomes a folder with merged weights."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from service.errors import AdapterRejected, ModelUnavailable, NoDiskSpace
from service.models.adapter_files import check_adapter, revision_of
from service.models.catalogue import DEFAULT_MODEL, KNOWN, TUNED
from service.models.merge import merge
from service.models.pack import MOST_BYTES, Packing, pack
from service.models.registry import ServedModel, check_model, resolve_model, tokenizer_path
from service.models.tensors import tensors_sha256
from service.models.tuned import SHIPPED, default_template, find_tuned
from service.settings import Settings
from service.text2sql.prompt import DEFAULT
from tests.fixtures_tuned import (
    BASE,
    NAME,
    REVISION,
    TEMPLATE,
    about,
    random_adapter,
    tiny_base,
    tuned_model,
)

CARRIED = sorted(name for name in TUNED if (SHIPPED / name).is_dir())


def _silent(line: str) -> None:
    pass


def _by_peft(base: Path, adapter: Path) -> dict[str, Any]:
    """The weights as peft merges them, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return dict(merged.state_dict())


def _tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".lock"))


@pytest.mark.parametrize(
    "config",
    [{}, {"use_rslora": True}, {"target_modules": ["q_proj", "down_proj"], "r": 7}],
    ids=["all-linear", "rank-stabilised", "some"],
)
def test_merged_weights_are_those_of_peft(tmp_path: Path, config: dict[str, Any]) -> None:
    import torch

    base = tiny_base(tmp_path, dtype="float32")
    adapter = random_adapter(base, tmp_path / "adapter", **config)
    out = tmp_path / "out"
    merge(base, tensors_sha256(base), adapter, revision_of(adapter), out)
    expected, found, before = _by_peft(base, adapter), _tensors(out), _tensors(base)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)
    changed = {name for name, value in found.items() if not torch.equal(value, before[name])}
    assert len(changed) == (14 if "target_modules" not in config else 4)


def test_a_bf16_base_is_merged_in_float32_and_rounded_once(tmp_path: Path) -> None:
    import torch

    tuned, shipped, models = tuned_model(tmp_path)
    model = resolve_model(NAME, models, _silent, shipped=shipped)
    expected = _by_peft(tmp_path / "models" / f"{BASE}@b179c9523d0e", shipped / NAME)
    for name, value in _tensors(model.path).items():
        assert value.dtype == torch.bfloat16
        assert torch.equal(value, expected[name].to(torch.bfloat16)), name
    assert tuned.template == TEMPLATE


def test_a_tuned_name_resolves_to_base_revision_and_adapter(tmp_path: Path) -> None:
    tuned, shipped, models = tuned_model(tmp_path)
    told: list[str] = []
    model = resolve_model(NAME, models, told.append, shipped=shipped)
    digits = revision_of(shipped / NAME)[:12]
    assert (model.name, model.revision) == (NAME, REVISION)
    assert model.adapter == tuned.adapter == f"{NAME}@{digits}"
    assert model.told == f"{NAME} (tuned: adapter {digits})"
    assert model.path == models / f"{NAME}@b179c9523d0e@{digits}"
    assert any(line.startswith(f"adding the adapter {tuned.adapter}") for line in told)
    told.clear()
    assert resolve_model(NAME, models, told.append, shipped=shipped) == model
    assert told == []


def test_the_merged_folder_needs_neither_base_nor_adapter_again(tmp_path: Path) -> None:
    import shutil

    _, shipped, models = tuned_model(tmp_path)
    model = resolve_model(NAME, models, _silent, shipped=shipped)
    shutil.rmtree(models / f"{BASE}@b179c9523d0e")
    (shipped / NAME / "adapter_model.safetensors").unlink()
    assert resolve_model(NAME, models, _silent, shipped=shipped) == model
    assert (model.path / "config.json").is_file()
    assert (model.path / "tokenizer.json").is_file()


def test_another_adapter_gets_another_folder(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    first = resolve_model(NAME, models, _silent, shipped=shipped)
    base = models / f"{BASE}@b179c9523d0e"
    other = random_adapter(base, tmp_path / "other", r=2)
    pack(Packing(NAME, other, base, "ddl", tmp_path / "card.md"), shipped)
    second = resolve_model(NAME, models, _silent, shipped=shipped)
    assert first.path != second.path
    assert first.path.is_dir()


def test_a_base_with_other_weights_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    tiny_base(models, seed=5)
    before = _names(models)
    with pytest.raises(ModelUnavailable, match="not those that the adapter was trained on"):
        resolve_model(NAME, models, _silent, shipped=shipped)
    assert _names(models) == before


def test_a_base_of_another_revision_is_refused(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    about(shipped, base_revision="gguf-sha256:0123456789ab")
    with pytest.raises(ModelUnavailable, match=f"known here are .*, {REVISION}"):
        resolve_model(NAME, models, _silent, shipped=shipped)


def test_an_adapter_that_changed_is_refused(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    with (shipped / NAME / "adapter_config.json").open("a") as file:
        file.write("\n")
    with pytest.raises(ModelUnavailable, match=r"has SHA-256 [0-9a-f]{64}, must be"):
        resolve_model(NAME, models, _silent, shipped=shipped)


def test_a_stopped_merge_leaves_nothing(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    before, stop = _names(models), threading.Event()

    def say(line: str) -> None:
        stop.set()

    with pytest.raises(ModelUnavailable, match="was stopped"):
        resolve_model(NAME, models, say, stop=stop, shipped=shipped)
    assert _names(models) == before


def test_a_killed_merge_is_begun_anew(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    left = models / f".tmp-{NAME}@b179c9523d0e-999999" / "model"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    model = resolve_model(NAME, models, _silent, shipped=shipped)
    assert _names(models) == [BASE + "@b179c9523d0e", model.path.name]


def test_too_little_disk_is_said_before_the_merge(tmp_path: Path) -> None:
    _, shipped, models = tuned_model(tmp_path)
    with pytest.raises(NoDiskSpace, match="VERISQL_MODELS_DIR"):
        resolve_model(NAME, models, _silent, shipped=shipped, free_bytes=lambda folder: 10)


def test_alphas_of_single_modules_are_refused(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    adapter = random_adapter(base, tmp_path / "adapter", alpha_pattern={"q_proj": 2})
    with pytest.raises(AdapterRejected, match="alpha_pattern is set"):
        merge(base, tensors_sha256(base), adapter, revision_of(adapter), tmp_path / "out")


def test_the_hash_of_weights_does_not_depend_on_the_files(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    base = tiny_base(tmp_path)
    tensors = _tensors(base)
    names = sorted(tensors)
    (tmp_path / "two").mkdir()
    save_file({n: tensors[n] for n in names[:5]}, tmp_path / "two" / "b.safetensors")
    save_file({n: tensors[n] for n in names[5:]}, tmp_path / "two" / "a.safetensors")
    assert tensors_sha256(tmp_path / "two") == tensors_sha256(base)
    save_file({n: tensors[n] for n in names[5:-1]}, tmp_path / "two" / "a.safetensors")
    assert tensors_sha256(tmp_path / "two") != tensors_sha256(base)


def test_what_is_packed_names_no_folder_of_the_machine(tmp_path: Path) -> None:
    _, shipped, _ = tuned_model(tmp_path)
    config = json.loads((shipped / NAME / "adapter_config.json").read_bytes())
    assert config["base_model_name_or_path"] == KNOWN[BASE].hub_id
    for path in (shipped / NAME).iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
    assert _names(shipped) == [NAME]


def test_a_checkpoint_that_cannot_be_packed_leaves_the_one_before(tmp_path: Path) -> None:
    tuned, shipped, _ = tuned_model(tmp_path)
    packing = Packing(NAME, tmp_path / "step_7", tmp_path / "none", "ddl", tmp_path / "card.md")
    with pytest.raises(ModelUnavailable, match="no folder of the models cache"):
        pack(packing, shipped)
    assert find_tuned(NAME, shipped) == tuned
    assert _names(shipped) == [NAME]


def test_a_tuned_models_template_is_the_default(tmp_path: Path) -> None:
    _, shipped, _ = tuned_model(tmp_path)
    assert str(default_template(NAME, shipped)) == TEMPLATE
    assert default_template(BASE, shipped) == DEFAULT
    assert default_template("/a/folder", shipped) == DEFAULT


def test_a_tuned_model_whose_files_are_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"VERISQL_MODEL={BASE} serves its base"):
        resolve_model(NAME, tmp_path, _silent, shipped=tmp_path)
    about_another = tmp_path / NAME
    about_another.mkdir()
    (about_another / "tuned.json").write_text('{"name": "other"}')
    with pytest.raises(ModelUnavailable, match="does not carry"):
        find_tuned(NAME, tmp_path)


def test_a_misspelt_tuned_name_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(f"did you mean {NAME}?")):
        check_model("verisql-smollm-135m", tmp_path)


def test_a_tuned_model_has_its_bases_tokenizer(tmp_path: Path) -> None:
    base = tiny_base(tmp_path)
    assert tokenizer_path(NAME, tmp_path) == base / "tokenizer.json"


def test_a_url_gets_no_template_that_another_model_was_trained_with() -> None:
    assert Settings(engine="url", engine_url="http://x/v1").template == DEFAULT
    assert Settings(engine="off", model=NAME, prompt_template="light").template.name == "light"


def test_the_default_model_is_known() -> None:
    assert DEFAULT_MODEL in {*KNOWN, *TUNED}
    assert Settings().model == DEFAULT_MODEL
    assert set(TUNED.values()) <= set(KNOWN)


@pytest.mark.parametrize("name", CARRIED or [pytest.param("", marks=pytest.mark.skip("none yet"))])
def test_a_carried_model_is_whole(name: str) -> None:
    tuned, folder = find_tuned(name), SHIPPED / name
    assert tuned is not None
    assert revision_of(folder) == tuned.adapter_sha256
    assert check_adapter(folder, None, 1024).size_bytes <= MOST_BYTES
    assert (folder / "README.md").read_text().startswith("---\n")
    assert str(Settings(engine="local", model=name).template) == tuned.template
    known = KNOWN[tuned.base_model]
    assert tuned.base_revision in (known.hub_revision, f"gguf-sha256:{known.wheels.sha256[:12]}")
    assert ServedModel(name, tuned.base_revision, folder, tuned.adapter).told.startswith(name)
