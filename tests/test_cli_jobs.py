"""`verisql jobs` for what curl can do, against a real service; watching is in test_job_watch.py."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.jobs.rundir import RunError
from tests.fixtures_jobs import model_folder
from tests.fixtures_live import JobService, job_service
from tests.test_cli import _verisql
from tests.test_serve import ROOT, Service


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    """Jobs without a supervisor: they stay where the test has put them."""
    with job_service(tmp_path_factory.mktemp("jobs")) as started:
        yield started


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """All of it; its jobs are looked at once a minute."""
    home = tmp_path_factory.mktemp("cli") / "home"
    started = Service(home, VERISQL_JOB_POLL_S="60")
    started.wait_until_ready()
    yield started
    started.kill()


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "job.json"
    asked = {"base_model": str(model_folder(tmp_path / "model")), "train_data": "demo"}
    path.write_text(json.dumps(asked | {"name": "mine", "max_steps": 3, "deadline_s": None}))
    return path


def test_a_job_is_created_from_a_file_once_listed_and_cancelled(
    service: Service, spec: Path
) -> None:
    at = ("--url", service.url)
    done = _verisql("jobs", "create", str(spec), "--key", "once", "--quiet", *at)
    assert done.returncode == 0, done.stderr
    job_id = done.stdout.strip()
    assert job_id.startswith("job_")
    again = _verisql("jobs", "create", str(spec), "--key", "once", *at)
    assert job_id in again.stdout
    listed = _verisql("jobs", "list", *at).stdout
    assert (listed.count("job_"), "mine" in listed) == (1, True)
    assert job_id in _verisql("jobs", "cancel", job_id, *at).stdout


def test_a_spec_is_read_from_standard_input(service: Service, spec: Path) -> None:
    asked = json.loads(spec.read_text()) | {"train_data": "nowhere.json"}
    done = subprocess.run(
        [sys.executable, "-m", "service", "jobs", "create", "-", "--url", service.url],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "unknown_dataset" in done.stderr


@pytest.mark.parametrize(("text", "said"), [("{", "is not JSON"), ("[]", "a JSON object")])
def test_a_bad_spec_is_explained(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "job.json").write_text(text)
    done = _verisql("jobs", "create", str(tmp_path / "job.json"))
    told = re.sub(r"[│\s]+", " ", done.stderr)  # In a box, its lines broken anywhere.
    assert (done.returncode, said in told) == (2, True)
    assert _verisql("jobs", "create", str(tmp_path / "none.json")).returncode == 2


def test_a_job_is_paused_and_resumed(jobs: JobService) -> None:
    at = ("--url", jobs.url)
    job = jobs.move(jobs.create(), "starting", "running")
    shown = _verisql("jobs", "pause", job.id, *at).stdout
    assert "pause_requested" in shown
    refused = _verisql("jobs", "resume", job.id, *at)
    assert (refused.returncode, "invalid_transition" in refused.stderr) == (1, True)
    jobs.change(jobs.move(job), status="paused", wish=None)
    jobs.run(job).path.joinpath("job.json").write_text("{}")
    resumed = _verisql("jobs", "resume", job.id, *at)
    assert (resumed.returncode, "queued" in resumed.stdout) == (0, True)


def test_checkpoints_are_told_with_their_numbers_and_the_best(jobs: JobService) -> None:
    job = jobs.move(jobs.create(), "starting", "running")
    run = jobs.run(job)
    for step in (5, 10):
        run.append_metrics({"step": step, "reward": 0.125 * step, "loss": -0.5})
        (run.checkpoints_path / f"step_{step}").mkdir(parents=True)
        (run.checkpoints_path / f"step_{step}" / "weights").write_bytes(bytes(1_500_000))
    run.append_metrics({"step": 10, "stage": "evaluate", "dev_accuracy": 0.375})
    jobs.change(job, best_checkpoint=10)
    done = _verisql("jobs", "checkpoints", job.id, "--url", jobs.url)
    assert done.returncode == 0, done.stderr
    five, ten = [line for line in done.stdout.splitlines() if "1.5 " in line]
    assert ("0.625" in five, "*" in five) == (True, False)
    assert ("10 *" in ten, "1.25" in ten, "0.375" in ten) == (True, True, True)
    assert str(run.checkpoints_path) in done.stdout
    empty = _verisql("jobs", "checkpoints", jobs.create().id, "--url", jobs.url)
    assert (empty.returncode, "step_N" in empty.stdout) == (0, False)


def test_metrics_are_shown_to_the_last_step(jobs: JobService) -> None:
    job = jobs.move(jobs.create(), "starting", "running")
    run = jobs.run(job)
    run.metrics_path.write_text("".join(f'{{"step": {n}, "reward": 0.5}}\n' for n in range(1200)))
    shown = _verisql("jobs", "metrics", job.id, "--url", jobs.url).stdout
    assert shown.count("0.5") == 1200


def test_a_list_says_what_a_job_waits_for_or_died_of(jobs: JobService) -> None:
    waits, died = (jobs.move(jobs.create(), "starting") for _ in range(2))
    jobs.change(waits, reason="no room")
    jobs.change(died, status="failed", error=RunError(code="run_lost", message="gone"))
    shown = _verisql("jobs", "list", "--limit", "2", "--url", jobs.url).stdout
    assert ("no room" in shown, "run_lost" in shown, "gone" in shown) == (True, True, False)


def test_a_list_goes_on_where_it_ended(jobs: JobService) -> None:
    made = [jobs.create().id for _ in range(2)]
    first = _verisql("jobs", "list", "--limit", "1", "--url", jobs.url).stdout
    assert made[1] in first
    assert f"more: --after {made[1]}" in first
    assert made[0] in _verisql("jobs", "list", "--after", made[1], "--url", jobs.url).stdout
