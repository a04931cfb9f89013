"""Kubernetes for test_launcher_contract.py: the double, whose pods are processes."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from service.jobs.launchers.base import Launcher, Placement
from service.jobs.launchers.kubernetes.launcher import KubernetesLauncher
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from tests.fixtures_jobs import TINY, end_trainers, placement
from tests.launcher_places import Place


class KubernetesPlace:
    """A cluster of one machine."""

    patience_s = 60.0

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self._run = placement(folder / "run")
        self._options = KubernetesOptions(
            image="registry.example/verisql:1",
            config=kubeconfig,
            volumes=f"verisql-home:{folder}",
            poll_s=0,
            timeout_s=60,
        )

    @asynccontextmanager
    async def launcher(self, *acts: str) -> AsyncIterator[Launcher]:
        command = ["python", str(TINY), *acts]
        yield KubernetesLauncher(self._options, grace_s=60, command=command)

    def placement(self, attempt: int = 0) -> Placement:
        return replace(self._run, attempt=attempt)


@pytest.fixture
def kubernetes_place(tmp_path: Path) -> Iterator[Place]:
    """A run in the double; what it leaves is killed."""
    # Schemas are slow to load, and conftest names this module for every test.
    from tests.kubernetes_double.server import serving

    with serving(tmp_path) as api:
        yield KubernetesPlace(tmp_path, api.kubeconfig(tmp_path / "kubeconfig"))
    end_trainers(tmp_path)
