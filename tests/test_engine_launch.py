"""The keeper of the model server, with small processes in the server's place."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.engine import launch
from tests.fixtures_engine import eventually_gone

# Writes its own pid and that of a child, then both sleep; the child does not mind SIGTERM.
FAMILY = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
    "time.sleep(60)"], stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1] + ".new", "w").write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""


def keep(owner: int, *command: str, grace_s: float = 0.5) -> "subprocess.Popen[bytes]":
    arguments = [sys.executable, "-I", launch.__file__, str(owner), str(grace_s), *command]
    return subprocess.Popen(arguments, start_new_session=True)


def pids_in(path: Path, timeout_s: float = 20) -> list[int]:
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(word) for word in path.read_text().split()]


@pytest.mark.parametrize(("code", "expected"), [("3", 3), ("0", 0)])
def test_the_exit_code_is_the_servers(code: str, expected: int) -> None:
    assert keep(os.getpid(), sys.executable, "-c", f"exit({code})").wait(20) == expected


def test_a_killed_server_gives_the_shells_code() -> None:
    suicide = "import os; os.kill(os.getpid(), 9)"
    assert keep(os.getpid(), sys.executable, "-c", suicide).wait(20) == 137


def test_sigterm_ends_the_server_and_its_stubborn_child(tmp_path: Path) -> None:
    keeper = keep(os.getpid(), sys.executable, "-c", FAMILY, str(tmp_path / "pids"))
    family = pids_in(tmp_path / "pids")
    keeper.send_signal(signal.SIGTERM)
    keeper.wait(20)
    assert eventually_gone(family)


def test_the_family_dies_with_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner_script = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-I', sys.argv[1], str(os.getpid()), '0.5',"
        " sys.executable, '-c', sys.argv[2], sys.argv[3]], start_new_session=True)\n"
        "time.sleep(60)"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", owner_script, launch.__file__, FAMILY, str(tmp_path / "pids")]
    )
    family = pids_in(tmp_path / "pids")
    owner.kill()
    owner.wait(20)
    assert eventually_gone(family)


def test_a_keeper_without_its_owner_ends_at_once(tmp_path: Path) -> None:
    keeper = keep(2**31 - 1, sys.executable, "-c", "import time; time.sleep(60)")
    assert keeper.wait(20) != 0
