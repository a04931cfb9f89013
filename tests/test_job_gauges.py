"""Gauges of jobs at /metrics: of those under way, and of no others."""

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.fixtures_live import TWO_GPUS, JobService, job_service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[JobService]:
    with job_service(tmp_path) as started:
        yield started


def gauges(service: JobService) -> dict[str, float]:
    """Every series of a job, by `name{labels}` without the job's id."""
    answer = httpx.get(f"{service.url}/metrics", timeout=60)
    assert answer.status_code == 200
    found = re.findall(r"^verisql_job_(\w+)\{job_id=\"(\w+)\"(.*)\} (.*)$", answer.text, re.M)
    return {name + rest: float(value) for name, _, rest, value in found}


def test_a_job_has_gauges_from_its_start_to_its_end(service: JobService) -> None:
    job = service.create()
    assert gauges(service) == {}
    service.move(job, "starting")
    assert gauges(service).keys() == {'status,status="starting"', "progress", "gpu_hours"}
    run = service.run(job)
    for step in (1, 2):
        run.append_metrics({"step": step, "reward": step / 4, "useful_groups": 0.5, "loss": None})
    run.append_metrics({"step": 2, "stage": "evaluate", "dev_accuracy": 1.0})
    with run.metrics_path.open("a") as file:
        file.write('{"step": 3, "rew')
    service.move(job, "running")
    assert gauges(service) == {
        'status,status="running"': 1, "progress": 0, "gpu_hours": 0,
        "step": 2, "reward": 0.5, "useful_groups": 0.5,
    }  # fmt: skip
    service.move(job, "succeeded")
    assert gauges(service) == {}


def test_gpu_hours_are_the_cost_of_the_job_all_attempts_together(service: JobService) -> None:
    job = service.move(service.create(resources=TWO_GPUS), "starting", "running")
    service.change(job, active_s=1800.0, attempt_started_at=time.time() - 3600)
    cost = httpx.get(f"{service.url}/train-jobs/{job.id}").json()["cost"]
    assert gauges(service)["gpu_hours"] == pytest.approx(cost["gpu_hours"], abs=0.1)
    service.change(job, attempt_started_at=None)
    assert gauges(service)["gpu_hours"] == 1.0
    service.move(job, "paused")
    assert gauges(service)["gpu_hours"] == 1.0


def test_the_newest_numbers_are_found_at_the_end_of_a_long_file(service: JobService) -> None:
    job = service.move(service.create(), "starting", "running")
    run = service.run(job)
    for step in range(500):
        run.append_metrics({"step": step, "reward": 0.5, "note": "x" * 100})
    assert gauges(service)["step"] == 499


def test_a_store_that_does_not_answer_leaves_the_other_metrics(service: JobService) -> None:
    service.move(service.create(), "starting", "running")
    assert gauges(service)
    with closing(sqlite3.connect(service.folder / "jobs.db", isolation_level=None)) as other:
        other.execute("DROP TABLE jobs")
    assert gauges(service) == {}
    assert "verisql_requests_total" in httpx.get(f"{service.url}/metrics").text


def test_ended_jobs_are_counted_by_their_last_state(service: JobService) -> None:
    service.metrics.count_job_over("failed")
    text = httpx.get(f"{service.url}/metrics").text
    assert 'verisql_jobs_finished_total{status="failed"} 1.0' in text
    assert 'verisql_jobs_finished_total{status="succeeded"} 0.0' in text
