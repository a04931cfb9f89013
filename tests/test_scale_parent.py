"""Parts of a run end with what answers for them, however that ends."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from trainer.scale import with_parent
from trainer.scale.node_part import NodePart

ROOT = Path(__file__).parents[1]
_START = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
time.sleep(60)
"""


class Parent:
    """A process that starts a command and waits; `kill` ends it, not the command."""

    def __init__(self, command: list[str], **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *command],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | variables,
            text=True,
        )
        assert self.process.stdout
        self.child = psutil.Process(int(self.process.stdout.readline()))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def end(self) -> None:
        self.kill()
        with suppress(psutil.NoSuchProcess):
            self.child.kill()


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A run whose job.json never comes: who reads it waits."""
    os.mkfifo(tmp_path / "job.json")
    return tmp_path


@pytest.fixture
def rank(fifo: Path) -> Iterator[Parent]:
    command = [sys.executable, "-m", "trainer", "--run-dir", str(fifo)]
    parent = Parent(command, RANK="1", WORLD_SIZE="2", PYTHONPATH=str(ROOT))
    yield parent
    parent.end()


def gone(process: psutil.Process, within_s: float = 30) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a child of its parent's death")
def test_one_of_several_trainers_ends_with_what_started_it(rank: Parent, fifo: Path) -> None:
    # It has come to its job.json once our end for writing can be opened.
    deadline = time.monotonic() + 60
    while True:
        try:
            writing = os.open(fifo / "job.json", os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            assert rank.child.is_running()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    rank.kill()
    assert gone(rank.child)
    os.close(writing)


def test_what_has_lost_its_parent_before_it_began_does_not_begin(tmp_path: Path) -> None:
    command = [sys.executable, with_parent.__file__, "1", "touch", str(tmp_path / "began")]
    done = subprocess.run(command, check=False)
    assert done.returncode == -9
    assert not (tmp_path / "began").exists()


def test_a_part_is_killed_with_all_that_descends_from_it(tmp_path: Path) -> None:
    part = NodePart()
    sleep = "import time; time.sleep(60)"
    start = (
        "import subprocess, sys, time;"
        f"child = subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    assert part.exit_code() is None
    part.kill()
    part.start([sys.executable, "-c", start], tmp_path / "trainer.log")
    while not (said := (tmp_path / "trainer.log").read_text()):
        assert part.exit_code() is None
        time.sleep(0.05)
    child = psutil.Process(int(said))
    part.kill()
    assert part.exit_code() == -9
    assert gone(child)
