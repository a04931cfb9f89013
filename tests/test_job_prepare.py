"""From a job to a run directory that a trainer can start in."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import ModelUnavailable, UnknownDataset, UnsupportedValue, VeriSQLError
from service.jobs.job import Job
from service.jobs.prepare import Preparer, in_own_thread
from service.jobs.rundir import RunDir
from service.jobs.spec import JobSpec
from service.sandbox.limits import Limits
from service.settings import load_settings
from tests.fixtures_jobs import model_folder, new_job, store_at

LIMITS = Limits(query_timeout_s=7.0, gold_timeout_s=70.0, memory_mb=700)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    async def main() -> Job:
        store = store_at(tmp_path)
        await store.open()
        created = await store.create(new_job(tmp_path, hyperparameters={"group_size": 4}))
        await store.close()
        return created

    return asyncio.run(main())


@pytest.fixture
def preparer(tmp_path: Path) -> Preparer:
    return Preparer([tmp_path / "data"], tmp_path / "models", LIMITS)


def test_the_request_holds_the_spec_and_where_things_are(job: Job, preparer: Preparer) -> None:
    preparer.prepare(job, threading.Event())
    request = RunDir(job.run_dir).request()
    assert request.spec == job.spec
    assert request.data_dirs == preparer.data_dirs


def test_dev_data_other_models_and_the_folder_of_values_become_paths(
    job: Job, tmp_path: Path
) -> None:
    other = model_folder(tmp_path / "other")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev.json").write_text("[]")
    asked = {"recipe": ["select"], "dev_data": ".", "train_data": "demo"}
    chosen = {"hyperparameters": {"select": {"base_models": [str(other)]}}}
    spec = JobSpec.model_validate({"base_model": job.spec.base_model} | asked | chosen)
    preparer = Preparer([tmp_path / "data"], tmp_path / "models", LIMITS, tmp_path / "values")
    preparer.prepare(replace(job, spec=spec), threading.Event())
    request = RunDir(job.run_dir).request()
    assert request.dev_data_path == tmp_path / "data" / "dev.json"
    assert request.other_models == {str(other): other}
    assert request.values_path == tmp_path / "values"


def test_models_that_no_stage_compares_are_not_fetched(
    job: Job, preparer: Preparer, tmp_path: Path
) -> None:
    chosen = {"hyperparameters": {"select": {"base_models": ["nobody/has-it@main"]}}}
    spec = JobSpec.model_validate(
        {"base_model": job.spec.base_model, "train_data": "demo"} | chosen
    )
    preparer.prepare(replace(job, spec=spec), threading.Event())
    assert RunDir(job.run_dir).request().other_models == {}


def test_the_trainer_gets_the_limits_that_the_service_is_set_to(
    job: Job, preparer: Preparer, tmp_path: Path
) -> None:
    settings = load_settings(query_timeout_s=7, gold_timeout_s=70, worker_memory_mb=700)
    assert settings.limits == LIMITS
    preparer.prepare(job, threading.Event())
    written = json.loads((job.run_dir / "job.json").read_text())
    assert [written[k] for k in ("query_timeout_s", "gold_timeout_s", "worker_memory_mb")] == [
        7.0,
        70.0,
        700,
    ]
    assert RunDir(job.run_dir).request().limits == LIMITS


def test_preparing_again_changes_nothing(job: Job, preparer: Preparer, tmp_path: Path) -> None:
    preparer.prepare(job, threading.Event())
    (tmp_path / "model" / "config.json").unlink()
    preparer.prepare(job, threading.Event())
    assert RunDir(job.run_dir).request().spec == job.spec


def test_what_vanished_since_the_job_was_created_is_said(job: Job, preparer: Preparer) -> None:
    gone = job.spec.model_copy(update={"train_data": "gone.json"})
    with pytest.raises(UnknownDataset):
        preparer.prepare(replace(job, spec=gone), threading.Event())
    (Path(job.spec.base_model) / "config.json").unlink()
    with pytest.raises(ModelUnavailable):
        preparer.prepare(job, threading.Event())
    assert not RunDir(job.run_dir).exists()


def test_a_judge_that_is_off_the_list_by_now_is_not_asked(job: Job, preparer: Preparer) -> None:
    far = replace(job, spec=job.spec.model_copy(update={"verify_url": "http://judge:8000"}))
    with pytest.raises(UnsupportedValue, match="VERISQL_VERIFY_URLS"):
        preparer.prepare(far, threading.Event())
    replace(preparer, verify_urls=("http://judge:8000",)).prepare(far, threading.Event())


def test_a_folder_that_cannot_be_made_is_said(job: Job, preparer: Preparer, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(VeriSQLError, match="cannot be prepared"):
        preparer.prepare(job, threading.Event())


def test_cancelling_tells_the_thread_and_does_not_wait_for_it() -> None:
    told, hold = threading.Event(), threading.Event()

    def stubborn(stop: threading.Event) -> None:
        stop.wait(20)
        told.set()
        hold.wait(20)

    async def main() -> None:
        task = asyncio.create_task(in_own_thread(stubborn))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    began = time.monotonic()
    asyncio.run(main())
    assert told.wait(10)
    assert time.monotonic() - began < 10
    hold.set()


def test_an_error_in_the_thread_reaches_the_one_who_waits() -> None:
    def fail(_stop: threading.Event) -> None:
        raise ModelUnavailable("no weights")

    with pytest.raises(ModelUnavailable, match="no weights"):
        asyncio.run(in_own_thread(fail))
