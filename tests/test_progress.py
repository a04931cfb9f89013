"""The number that says where a worker is: shared between processes, gone with the last of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.sandbox.progress import Progress, shared_descriptor

ROOT = Path(__file__).parents[1]
MOVE = """
import sys
from service.sandbox.progress import Progress
progress = Progress(int(sys.argv[1]))
print(progress.at(), flush=True)
progress.move(int(sys.argv[2]))
"""


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = shared_descriptor()
    yield made
    os.close(made)


def test_a_number_starts_at_0_and_is_what_it_was_moved_to(descriptor: int) -> None:
    with closing(Progress(descriptor)) as progress:
        assert progress.at() == 0
        for item in (1, 7, 2**40, 0):
            progress.move(item)
            assert progress.at() == item


@pytest.mark.parametrize("item", [1, 12_345, 2**33])
def test_what_another_process_says_is_read_here(descriptor: int, item: int) -> None:
    with closing(Progress(descriptor)) as progress:
        progress.move(3)
        command = [sys.executable, "-c", MOVE, str(descriptor), str(item)]
        said = subprocess.run(
            command, cwd=ROOT, pass_fds=(descriptor,), capture_output=True, check=True
        )
        assert said.stdout.split() == [b"3"]
        assert progress.at() == item


def test_the_number_outlives_its_descriptor_but_not_its_end() -> None:
    descriptor = shared_descriptor()
    progress = Progress(descriptor)
    os.close(descriptor)
    progress.move(5)
    assert progress.at() == 5
    progress.close()
    assert progress.at() == 0


def test_each_number_is_its_own(descriptor: int) -> None:
    other = shared_descriptor()
    with closing(Progress(descriptor)) as one, closing(Progress(other)) as two:
        os.close(other)
        one.move(1)
        two.move(2)
        assert (one.at(), two.at()) == (1, 2)
