"""The first program of a container, as a real process with real children."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ATTEND = [sys.executable, "-P", "-m", "service.jobs.launchers.kubernetes.attend"]
HEED = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saved\\n'), sys.exit(0)))\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)"
)


def attend(log: Path, code: str, *more: str) -> subprocess.Popen[bytes]:
    command = [*ATTEND, "--log", str(log), *more, "--", sys.executable, "-c", code]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('done')", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ],
)
def test_it_ends_as_its_trainer_does(tmp_path: Path, code: str, expected: int) -> None:
    process = attend(tmp_path / "log", code)
    process.communicate(timeout=60)
    assert process.returncode == expected


def test_output_goes_to_the_container_and_to_the_folder_where_it_is_added(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("attempt 0\n")
    said = "import sys; print('out', flush=True); print('error', file=sys.stderr)"
    shown, _ = attend(log, said).communicate(timeout=60)
    assert shown == b"out\nerror\n"
    assert log.read_bytes() == b"attempt 0\nout\nerror\n"


def test_other_nodes_leave_the_log_to_node_0(tmp_path: Path) -> None:
    shown, _ = attend(tmp_path / "log", "print('two')", "--rank", "2").communicate(timeout=60)
    assert shown == b"two\n"
    assert not (tmp_path / "log").exists()


def test_the_trainer_is_told_to_end_and_has_its_last_words(tmp_path: Path) -> None:
    process = attend(tmp_path / "log", HEED)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    shown, _ = process.communicate(timeout=60)
    # It did not succeed: a cluster that took its machine must not call the run complete.
    assert (shown, process.returncode) == (b"saved\n", 128 + signal.SIGTERM)
    assert (tmp_path / "log").read_text() == "ready\nsaved\n"


def test_what_the_trainer_left_behind_does_not_hold_the_container(tmp_path: Path) -> None:
    left = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'])"
    process = subprocess.Popen(
        [*ATTEND, "--log", str(tmp_path / "log"), "--", sys.executable, "-W", "ignore", "-c", left],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={"PYTHONPATH": str(ROOT)},
    )
    started = time.monotonic()
    assert process.wait(timeout=60) == 0
    assert time.monotonic() - started < 50
    assert process.stdin is not None
    process.stdin.close()  # The child that was left behind ends.


def test_a_log_that_cannot_be_written_does_not_stop_the_run(tmp_path: Path) -> None:
    shown, said = attend(tmp_path / "no" / "log", "print('on')").communicate(timeout=60)
    assert shown == b"on\n"
    assert b"cannot be written" in said
