"""Places for test_launcher_contract.py: where a launcher under test starts tiny_trainer.py."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from service.jobs.launchers.base import Launcher, Placement
from tests.fixtures_jobs import end_trainers, launcher, placement


class Place(Protocol):
    """What the suite asks of a place; a new launcher brings one, as a fixture `NAME_place`.

    `tiny_trainer.py ACT... --run-dir DIR` must run for real, with `run_dir` as this test sees it.
    """

    patience_s: float
    """Longest time from a call to what follows from it."""

    def launcher(self, *acts: str) -> AbstractAsyncContextManager[Launcher]:
        """A new launcher, as a service that was started anew has it; the acts are its trainer's."""
        ...

    def placement(self, attempt: int = 0) -> Placement:
        """The one run of this test."""
        ...


class LocalPlace:
    """Processes of this machine."""

    patience_s = 120.0

    def __init__(self, folder: Path) -> None:
        self._run = placement(folder)

    @asynccontextmanager
    async def launcher(self, *acts: str) -> AsyncIterator[Launcher]:
        yield launcher(*acts)

    def placement(self, attempt: int = 0) -> Placement:
        return replace(self._run, attempt=attempt)


@pytest.fixture
def local_place(tmp_path: Path) -> Iterator[Place]:
    """A run of this machine; what it leaves is killed."""
    yield LocalPlace(tmp_path / "run")
    end_trainers(tmp_path)
