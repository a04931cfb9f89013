"""Who may import whom, by the picture in docs/architecture.md."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = (
    "service.text2sql",
    "service.sandbox",
    "service.errors",
    "service.strict",
    "service.audit",
    "service.pages",
)
BELOW = (
    *CORE,
    "service.jobs.resources",
    "service.jobs.spec",
    "service.jobs.rundir",
    "service.jobs.driver",
    "service.jobs.verdict_url",
    "service.processor",
    "service",
)
OVER_HTTP = ("trainer.remote_verdicts", "service.client")
"""The one part of the trainer that asks the service, as any caller does."""
HEAVY = "fastapi uvicorn httpx vllm torch transformers sqlalchemy kubernetes".split()
STORES = (
    "service.storage",
    "service.migrations",
    "service.jobs.store",
    "service.jobs.outbox",
    "service.feedback.store",
)
SERVED = ("service.api", "service.protocols", "service.app", "service.serving")


def _modules(folder: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


PATHS = dict([*_modules("service"), *_modules("trainer")])


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & PATHS.keys()) or {node.module}
    return found


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("name", PATHS)
def test_imports_stay_within_the_layers(name: str) -> None:
    for other in _imports(PATHS[name]):
        if name.startswith("trainer") and other.startswith("service"):
            below = other in BELOW or _within(other, BELOW[:-1])
            assert below or (name, other) == OVER_HTTP, other
        if name.startswith("service"):
            assert not other.startswith("trainer"), other
        if _within(name, CORE):
            assert not other.startswith("service.") or _within(other, CORE), other
        if other.startswith(("fastapi", "starlette")):
            assert _within(name, SERVED), other
        if other.startswith("sqlalchemy"):
            assert _within(name, STORES), other
        if other.startswith("alembic"):
            assert _within(name, ("service.migrations",)), other
        if other.startswith("prometheus_client"):
            assert name == "service.metrics", other


def test_the_worker_loads_the_standard_library_only() -> None:
    start = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    code = f"{start}; import service.sandbox.worker; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    foreign = {m.split(".")[0] for m in done.stdout.split()} - set(sys.stdlib_module_names)
    assert foreign == {"service", "__main__"}


def test_the_shared_core_loads_nothing_heavy() -> None:
    core = [name for name in PATHS if _within(name, CORE) or name in BELOW]
    code = f"import sys, {', '.join(core)}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert not set(HEAVY) & set(done.stdout.split())


def test_there_is_no_import_cycle() -> None:
    edges = {
        name: {other for other in _imports(path) if other in PATHS and other != name}
        for name, path in PATHS.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in edges[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in edges:
        visit(name, ())
