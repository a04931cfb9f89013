"""Adapters on disk: what is sound, what is refused and how, what a registered one keeps."""

import asyncio
import json
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.errors import AdapterRejected, Conflict, InvalidRequest, UnknownModel, VeriSQLError
from service.models.adapter_files import check_adapter
from service.models.adapters import AdapterStore, LiveChoice
from service.models.registry import ServedModel
from service.models.tensors import read_header
from tests.fixtures_adapters import tiny_adapter, write_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
MODULE = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def base(tmp_path: Path) -> ServedModel:
    """A base model of one layer of the size that tiny_adapter is for."""
    folder = tmp_path / "own-model"
    folder.mkdir()
    write_tensors(folder / "model.safetensors", {f"{MODULE}.weight": ("F32", (8, 6))})
    return ServedModel("own-model", "local:0", folder)


def _config(**change: object) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        about = json.loads((folder / CONFIG).read_text()) | change
        (folder / CONFIG).write_text(json.dumps(about))

    return apply


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        tensors = {k: (t.dtype, t.shape) for k, t in read_header(folder / WEIGHTS).items()}
        change(tensors)
        write_tensors(folder / WEIGHTS, tensors)

    return apply


def _cut(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])


def _link(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "elsewhere")
    (folder / WEIGHTS).symlink_to(folder / "elsewhere")


def _number(value: float) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        data = bytearray((folder / WEIGHTS).read_bytes())
        data[-4:] = struct.pack("<f", value)
        (folder / WEIGHTS).write_bytes(data)

    return apply


A, B = f"base_model.model.{MODULE}.lora_A.weight", f"base_model.model.{MODULE}.lora_B.weight"
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / CONFIG).unlink(), "adapter_config.json is missing"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "safetensors is missing"),
    "config no JSON": (lambda f: (f / CONFIG).write_text("{"), "no JSON object"),
    "config a list": (lambda f: (f / CONFIG).write_text("[]"), "no JSON object"),
    "weights a link": (_link, "no plain file"),
    "weights empty": (lambda f: (f / WEIGHTS).write_bytes(b""), "cut off"),
    "weights cut": (_cut, "its header says"),
    "weights no safetensors": (lambda f: (f / WEIGHTS).write_bytes(b"x" * 99), "no safetensors"),
    "a pickle": (lambda f: (f / "adapter_model.bin").write_bytes(b""), "is a pickle"),
    "not LoRA": (_config(peft_type="IA3"), "must be 'LORA'"),
    "rank too large": (_config(r=32), "VERISQL_MAX_LORA_RANK"),
    "rank of one layer": (_config(rank_pattern={"q_proj": 64}), "VERISQL_MAX_LORA_RANK"),
    "rank a text": (_config(r="4"), "VERISQL_MAX_LORA_RANK"),
    "DoRA": (_config(use_dora=True), "use_dora is set"),
    "whole layers": (_config(modules_to_save=["lm_head"]), "modules_to_save is set"),
    "bias": (_config(bias="all"), "bias is 'all'"),
    "PiSSA": (_config(init_lora_weights="pissa_niter_4"), "alters the base"),
    "no tensors": (_tensors(lambda t: t.clear()), "is empty"),
    "half a pair": (_tensors(lambda t: t.pop(A)), "only one of"),
    "other tensors": (_tensors(lambda t: t.update(x=("F32", (1,)))), "is no LoRA matrix"),
    "ranks differ": (
        _tensors(lambda t: t.update({A: ("F32", (2, 6))})),
        "are not rank 4",
    ),
    "wrong size": (
        _tensors(lambda t: t.update({B: ("F32", (9, 4))})),
        r"is for \(9, 6\), the served base has \(8, 6\)",
    ),
    "unknown layer": (
        _tensors(lambda t: t.update({k.replace("q_proj", "z"): t.pop(k) for k in (A, B)})),
        "the served base has no",
    ),
    "not a number": (_number(math.nan), "holds a NaN"),
    "minus infinity": (_number(-math.inf), "an infinity"),
    "far too large": (_number(2048.0), "2048 or more"),
    "integers": (_tensors(lambda t: t.update({B: ("I32", (8, 4))})), "type I32"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_adapter_is_refused_with_the_reason(
    fault: str, base: ServedModel, tmp_path: Path
) -> None:
    spoil, reason = FAULTS[fault]
    folder = tiny_adapter(tmp_path / "mine")
    spoil(folder)
    with pytest.raises(AdapterRejected, match=reason):
        check_adapter(folder, base, 16)


def test_a_sound_adapter_is_known_by_its_content(base: ServedModel, tmp_path: Path) -> None:
    first, again, other = (
        check_adapter(tiny_adapter(tmp_path / name, seed=seed), base, 16)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert len(first.revision) == 64
    assert first.revision != other.revision
    assert (first.rank, first.base_name) == (4, "double")


def test_what_was_trained_on_another_known_model_is_refused(
    base: ServedModel, tmp_path: Path
) -> None:
    served = ServedModel("smollm2-135m-instruct", "x", base.path)
    own = ("HuggingFaceTB/SmolLM2-135M-Instruct", "/cache/smollm2-135m-instruct@12fd25f77366", "")
    for n, name in enumerate(own):
        check_adapter(tiny_adapter(tmp_path / f"own{n}", base=name), served, 16)
    for n, name in enumerate(("Qwen/Qwen2.5-Coder-0.5B-Instruct", "qwen2.5-coder-0.5b-instruct")):
        with pytest.raises(AdapterRejected, match="and smollm2-135m-instruct is served"):
            check_adapter(tiny_adapter(tmp_path / f"other{n}", base=name), served, 16)


@pytest.fixture
def store(tmp_path: Path, base: ServedModel) -> AdapterStore:
    roots = [tmp_path / "home" / "adapters", tmp_path / "home" / "runs"]
    opened = AdapterStore(tmp_path / "home" / "registered", roots, base, 16)
    opened.open()
    return opened


def _register(store: AdapterStore, folder: Path, name: str, parent: str | None = None) -> None:
    asyncio.run(store.register(folder, name, parent, {"data_sha256": "d"}))


def test_a_registered_adapter_outlives_its_source_and_the_service(
    store: AdapterStore, base: ServedModel, tmp_path: Path
) -> None:
    checkpoint = tiny_adapter(tmp_path / "home" / "runs" / "r1" / "checkpoints" / "step_2")
    (checkpoint / "optimizer.pt").write_bytes(b"a pickle")
    (checkpoint / "canary.json").write_text("{}")
    _register(store, checkpoint, "first")
    _register(store, tiny_adapter(tmp_path / "x", seed=2), "second", parent="first")
    (checkpoint / WEIGHTS).unlink()
    (tmp_path / "home" / "registered" / ".new-torn").mkdir()

    again = AdapterStore(tmp_path / "home" / "registered", [], base, 16)
    again.open()
    first, second = again.all()
    kept = sorted(path.name for path in again.folder(first).iterdir())
    assert kept == ["about.json", CONFIG, WEIGHTS, "canary.json"]
    assert asyncio.run(again.intact(first))
    assert first.lineage == {"data_sha256": "d"}
    assert second.parent == first.served_name == f"first@{first.revision[:12]}"
    assert not (tmp_path / "home" / "registered" / ".new-torn").exists()


def test_a_name_stands_for_one_content(store: AdapterStore, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "x")
    _register(store, folder, "mine")
    _register(store, folder, "mine")
    with pytest.raises(Conflict, match="choose another name"):
        _register(store, tiny_adapter(tmp_path / "y", seed=1), "mine")
    with pytest.raises(UnknownModel, match="known: base, mine"):
        _register(store, folder, "child", parent="nobody")
    assert [adapter.name for adapter in store.all()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["", "base", "live", "own-model", "Upper", "a/b", "../a", "-a", "a b", "x" * 64, "a@b"]
)
def test_odd_and_reserved_names_are_refused(store: AdapterStore, name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="must be 1 to 63"):
        _register(store, tiny_adapter(tmp_path / "x"), name)


def test_only_folders_below_the_allowed_ones_are_looked_at(
    store: AdapterStore, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    inside, outside = tiny_adapter(home / "adapters" / "in"), tiny_adapter(tmp_path / "out")
    (home / "adapters" / "link").symlink_to(outside)
    (home / "adapters" / "file").write_text("")
    for path in (None, "adapters/in", str(inside)):
        assert store.source("in", path) == inside
    wrong = [
        str(outside),
        "adapters/../../out",
        "adapters/link",
        "adapters/file",
        "/etc",
        "nowhere",
    ]
    for path in [*wrong, "adapters/in/../in", "a\0b", "x" * 5000]:
        with pytest.raises(VeriSQLError, match="is no folder below"):
            store.source("in", path)


def test_which_one_is_live_survives_and_a_torn_file_means_the_base(
    store: AdapterStore, tmp_path: Path
) -> None:
    assert store.choice() == LiveChoice()
    store.choose(LiveChoice("a@1", "b@2", 5.0))
    assert store.choice() == LiveChoice("a@1", "b@2", 5.0)
    for torn in ("", "[]", '{"live": 1}', '{"live": "a@1", "what": 1}'):
        (tmp_path / "home" / "registered" / "live.json").write_text(torn)
        assert store.choice() == LiveChoice()
