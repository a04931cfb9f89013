"""The trainer's entry point, as far as it goes without torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from tests.fixtures_trainer import ROOT, make_run
from trainer.lock import HANDED_OVER_FD, hold_lock

HOLD = """
import pathlib, sys, time
from trainer.lock import hold_lock
print(hold_lock(pathlib.Path(sys.argv[1])), flush=True)
time.sleep(60)
"""


def trainer(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def broken_run(folder: Path, **changes: object) -> RunDir:
    run = make_run(folder, folder / "nowhere")
    path = run.path / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return run


def test_a_folder_without_a_job_is_refused(tmp_path: Path) -> None:
    ended = trainer("--run-dir", str(tmp_path))
    assert ended.returncode == 2
    assert "there is no job.json" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_explains_the_exit_codes() -> None:
    ended = trainer("--help")
    assert ended.returncode == 0
    assert "3 another trainer works in that folder" in ended.stdout


def test_a_misspelt_job_fails_before_torch_is_loaded(tmp_path: Path) -> None:
    run = broken_run(tmp_path, learning_rat=1)
    code = "import sys, trainer.__main__ as t; ended = t.main(); print('torch' in sys.modules)"
    command = [sys.executable, "-c", f"{code}; sys.exit(ended)", "--run-dir", str(run.path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    status = run.status()
    assert ended.returncode == 1
    assert status is not None
    assert status.state == "failed"
    assert status.error is not None
    assert (status.error.code, status.error.message) == (
        "invalid_request",
        f"job.json: unknown field 'learning_rat'; known: {', '.join(RunRequest.model_fields)}",
    )
    assert ended.stdout == "False\n"


def test_a_failure_is_an_event_and_its_traceback_stays_in_the_log(tmp_path: Path) -> None:
    run = broken_run(tmp_path, query_timeout_s="soon")
    ended = trainer("--run-dir", str(run.path))
    event = run.events()[-1]
    assert (event["level"], event["type"], event["data"]) == (
        "error",
        "failed",
        {"code": "invalid_request"},
    )
    assert "Traceback" in ended.stderr
    assert "Traceback" not in event["message"]


def test_a_second_trainer_leaves_without_touching_anything(tmp_path: Path) -> None:
    run = make_run(tmp_path, tmp_path / "nowhere")
    command = [sys.executable, "-c", HOLD, str(run.lock_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        ended = trainer("--run-dir", str(run.path))
        process.kill()
    assert ended.returncode == 3
    assert "another trainer works in" in ended.stderr
    assert run.status() is None
    assert run.events() == []


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert hold_lock(tmp_path / "lock") is None
        process.kill()
    descriptor = hold_lock(tmp_path / "lock")
    assert descriptor is not None
    os.close(descriptor)


def test_a_free_lock_is_taken(tmp_path: Path) -> None:
    descriptor = hold_lock(tmp_path / "lock")
    assert descriptor is not None
    assert hold_lock(tmp_path / "lock") is None
    os.close(descriptor)


def test_a_lock_that_the_launcher_handed_over_is_ours(tmp_path: Path) -> None:
    program = f"""
import fcntl, os, pathlib, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.dup2(lock, {HANDED_OVER_FD}, inheritable=True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], sys.argv[1]])
"""
    taken = HOLD.replace("time.sleep(60)", "")
    command = [sys.executable, "-c", program, str(tmp_path / "lock"), taken]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == f"{HANDED_OVER_FD}\n"
