"""/train-jobs over HTTP, with trainers that take milliseconds."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api import errors, job_streams, train_jobs
from service.api.middleware import RequestContext
from service.demo import build_demo
from service.jobs.checks import Checks
from service.jobs.intake import Jobs
from service.metrics import Metrics
from service.text2sql.databases import DatabaseRegistry
from tests.fixtures_jobs import end_trainers, launcher, model_folder, store_at, supervisor_over
from tests.test_api_errors import check_error

ACTS = ("train", "until_told", "succeed")


@asynccontextmanager
async def lifespan(app: FastAPI, *, folder: Path) -> AsyncIterator[None]:
    build_demo(folder / "data")
    store = store_at(folder)
    await store.open()
    supervisor = supervisor_over(store, folder, launcher(*ACTS))
    registry = DatabaseRegistry.scan([folder / "data"])
    runs = folder / "runs"
    checks = Checks(registry, [folder / "data"], folder / "models", runs)
    app.state.parts = SimpleNamespace(jobs=Jobs(store, checks, runs, supervisor.wake))
    await supervisor.start()
    yield
    await supervisor.close()
    await store.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("jobs")
    yield folder
    end_trainers(folder)


@pytest.fixture(scope="module")
def jobs_api(folder: Path) -> Iterator[TestClient]:
    app = FastAPI(lifespan=partial(lifespan, folder=folder))
    errors.install(app)
    app.add_middleware(RequestContext, metrics=Metrics(), max_body_bytes=2**20)
    app.include_router(train_jobs.router)
    app.include_router(job_streams.router)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def spec(folder: Path) -> dict[str, Any]:
    return {"base_model": str(model_folder(folder / "model")), "train_data": "demo"}


def create(client: TestClient, spec: dict[str, Any], **headers: str) -> dict[str, Any]:
    response = client.post("/train-jobs", json=spec, headers=headers)
    assert response.status_code == 202, response.text
    return dict(response.json())


def until_status(client: TestClient, job_id: str, *wanted: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while (job := client.get(f"/train-jobs/{job_id}").json())["status"] not in wanted:
        assert time.monotonic() < deadline, job
    return dict(job)


def succeed(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    until_status(client, job["id"], "running")
    (Path(job["run_dir"]) / "go").touch()
    return until_status(client, job["id"], "succeeded")


@pytest.fixture(scope="module")
def finished(jobs_api: TestClient, folder: Path) -> dict[str, Any]:
    base_model = str(model_folder(folder / "model"))
    return succeed(jobs_api, create(jobs_api, {"base_model": base_model, "train_data": "demo"}))


def test_a_created_job_is_to_be_validated_and_echoes_its_spec(
    jobs_api: TestClient, spec: dict[str, Any]
) -> None:
    job = create(jobs_api, spec | {"max_steps": 3, "metadata": {"team": "bi"}})
    assert job["status"] == "validating"
    assert job["spec"] | spec | {"max_steps": 3, "metadata": {"team": "bi"}} == job["spec"]
    assert job["spec"]["hyperparameters"]["group_size"] == 8
    assert len(job["spec_sha256"]) == 64
    succeed(jobs_api, job)


def test_more_prompts_than_an_order_can_be_made_for_are_refused(
    jobs_api: TestClient, spec: dict[str, Any]
) -> None:
    many = spec | {"max_steps": 1_000_000, "hyperparameters": {"prompts_per_step": 256}}
    response = jobs_api.post("/train-jobs", json=many)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (
        422,
        "invalid_request",
        "max_steps",
    )
    assert "1000000 steps of prompts_per_step=256" in error["message"]
    assert "at most 3906 steps" in error["message"]


def test_a_finished_job_has_every_promised_field(finished: dict[str, Any]) -> None:
    assert finished.keys() >= {"id", "stage", "eta_s", "created_at", "spec", "spec_sha256"}
    assert (finished["progress"], finished["error"], finished["best_checkpoint"]) == (1.0, None, 1)
    assert finished["created_at"] < finished["started_at"] < finished["finished_at"]


def test_the_reward_of_each_step_is_read_back(
    jobs_api: TestClient, finished: dict[str, Any]
) -> None:
    page = jobs_api.get(f"/train-jobs/{finished['id']}/metrics").json()
    assert page == {"data": [{"step": 1, "reward": 0.25}], "next": 1}
    rest = jobs_api.get(f"/train-jobs/{finished['id']}/metrics?after=1").json()
    assert rest == {"data": [], "next": 1}


def test_events_come_in_order_with_a_cursor(jobs_api: TestClient, finished: dict[str, Any]) -> None:
    path = f"/train-jobs/{finished['id']}/events"
    every = jobs_api.get(path).json()
    first = jobs_api.get(f"{path}?limit=1").json()
    rest = jobs_api.get(f"{path}?after={first['next']}").json()
    assert first["data"] + rest["data"] == every["data"]
    assert every["data"][-1]["message"] == "running -> succeeded"
    assert every["data"][-1].keys() >= {"created_at", "level", "type", "message"}


def test_logs_come_in_lines_with_a_cursor(jobs_api: TestClient, finished: dict[str, Any]) -> None:
    path = Path(finished["run_dir"]) / "trainer.log"
    path.write_text("".join(f"line {i} {'x' * 90}\n" for i in range(20)))
    url = f"/train-jobs/{finished['id']}/logs?max_bytes=1024"
    first = jobs_api.get(url).json()
    assert first["data"][0].startswith("line 0 ")
    lines, cursor = first["data"], first["next"]
    while page := jobs_api.get(f"{url}&after={cursor}").json():
        if not page["data"]:
            break
        lines, cursor = lines + page["data"], page["next"]
    assert [line.split()[1] for line in lines] == [str(i) for i in range(20)]


def test_checkpoints_have_size_and_metrics(jobs_api: TestClient, finished: dict[str, Any]) -> None:
    (checkpoint,) = jobs_api.get(f"/train-jobs/{finished['id']}/checkpoints").json()
    assert (checkpoint["step"], checkpoint["size_bytes"]) == (1, 5)
    assert checkpoint["metrics"]["reward"] == 0.25
    assert checkpoint["created_at"] <= finished["finished_at"]


def test_a_running_job_is_cancelled(jobs_api: TestClient, spec: dict[str, Any]) -> None:
    job = create(jobs_api, spec)
    until_status(jobs_api, job["id"], "running")
    answer = jobs_api.post(f"/train-jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (200, True)
    assert until_status(jobs_api, job["id"], "cancelled")["error"] is None


def test_cancelling_a_finished_job_changes_nothing(
    jobs_api: TestClient, finished: dict[str, Any]
) -> None:
    answer = jobs_api.post(f"/train-jobs/{finished['id']}/cancel")
    assert (answer.status_code, answer.json()) == (200, finished)


def test_the_same_key_gives_the_same_job(
    jobs_api: TestClient, spec: dict[str, Any], finished: dict[str, Any]
) -> None:
    first = create(jobs_api, spec, **{"Idempotency-Key": "once"})
    again = create(jobs_api, spec, **{"Idempotency-Key": "once"})
    assert first["id"] == again["id"] != finished["id"]
    other = {"Idempotency-Key": "once"}
    response = jobs_api.post("/train-jobs", json=spec | {"seed": 1}, headers=other)
    check_error(response, 409, "conflict", "Idempotency-Key")
    succeed(jobs_api, first)


def test_jobs_are_listed_newest_first_in_pages(
    jobs_api: TestClient, spec: dict[str, Any], finished: dict[str, Any]
) -> None:
    newest = succeed(jobs_api, create(jobs_api, spec))
    page = jobs_api.get("/train-jobs?limit=1").json()
    assert ([job["id"] for job in page["data"]], page["has_more"]) == ([newest["id"]], True)
    rest = jobs_api.get(f"/train-jobs?after={newest['id']}&status=succeeded").json()
    assert finished["id"] in [job["id"] for job in rest["data"]]
    assert {job["status"] for job in rest["data"]} == {"succeeded"}
    assert not rest["has_more"]


def test_a_queued_job_has_empty_series(jobs_api: TestClient, spec: dict[str, Any]) -> None:
    running = create(jobs_api, spec)
    until_status(jobs_api, running["id"], "running")
    waiting = create(jobs_api, spec)
    url = f"/train-jobs/{waiting['id']}"
    until_status(jobs_api, waiting["id"], "queued")
    for series in ("metrics", "logs"):
        assert jobs_api.get(f"{url}/{series}").json() == {"data": [], "next": 0}
    assert jobs_api.get(f"{url}/checkpoints").json() == []
    jobs_api.post(f"{url}/cancel")
    assert until_status(jobs_api, waiting["id"], "cancelled")["started_at"] is None
    succeed(jobs_api, running)


def test_a_data_set_about_unknown_databases_is_refused_with_their_names(
    jobs_api: TestClient, spec: dict[str, Any], folder: Path
) -> None:
    rows = [{"db_id": f"d{i}", "question": "?", "SQL": "SELECT 1"} for i in range(5)]
    (folder / "data" / "train.json").write_text(json.dumps(rows))
    response = jobs_api.post("/train-jobs", json=spec | {"train_data": "train.json"})
    message = check_error(response, 422, "invalid_request", "train_data")
    assert "d0, d1, d2 and 2 more" in message


def test_a_paused_job_frees_its_place_and_goes_on_when_it_is_resumed(
    jobs_api: TestClient, spec: dict[str, Any]
) -> None:
    job = create(jobs_api, spec)
    url = f"/train-jobs/{job['id']}"
    until_status(jobs_api, job["id"], "running")
    assert jobs_api.post(f"{url}/pause").json()["pause_requested"]
    paused = until_status(jobs_api, job["id"], "paused")
    assert (paused["pause_requested"], paused["attempt"], paused["eta_s"]) == (False, 0, None)
    assert paused["cost"]["cpu_hours"] == pytest.approx(paused["active_s"] * 2 / 3600)
    assert jobs_api.post(f"{url}/pause").json()["status"] == "paused"
    resumed = [jobs_api.post(f"{url}/resume") for _ in range(2)]
    assert [(r.status_code, r.json()["attempt"]) for r in resumed] == [(200, 1), (200, 1)]
    assert succeed(jobs_api, job)["active_s"] >= paused["active_s"]


def test_a_paused_job_can_be_cancelled(jobs_api: TestClient, spec: dict[str, Any]) -> None:
    job = create(jobs_api, spec)
    url = f"/train-jobs/{job['id']}"
    jobs_api.post(f"{url}/pause")
    until_status(jobs_api, job["id"], "paused")
    assert jobs_api.post(f"{url}/cancel").status_code == 200
    until_status(jobs_api, job["id"], "cancelled")
    check_error(jobs_api.post(f"{url}/resume"), 409, "invalid_transition", None)
    check_error(jobs_api.post(f"{url}/pause"), 409, "invalid_transition", None)


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
def test_no_verb_knows_a_job_that_is_not_there(jobs_api: TestClient, verb: str) -> None:
    check_error(jobs_api.post(f"/train-jobs/job_none/{verb}"), 404, "unknown_job", None)


@pytest.mark.parametrize("launcher", ["ray", "kubernetes"])
def test_a_launcher_that_is_not_set_up_is_refused(
    jobs_api: TestClient, spec: dict[str, Any], launcher: str
) -> None:
    response = jobs_api.post("/train-jobs", json=spec | {"launcher": launcher})
    said = check_error(response, 422, "unsupported_value", "launcher")
    assert f"launcher='{launcher}': this service is set up for local" in said


def test_a_misspelt_field_is_refused_with_the_nearest_name(
    jobs_api: TestClient, spec: dict[str, Any]
) -> None:
    response = jobs_api.post("/train-jobs", json=spec | {"max_retrys": 1})
    assert response.status_code == 422
    assert "did you mean 'max_retries'?" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("changed", "param", "said"),
    [
        ({"parent": {"job_id": "job_none", "step": 1}}, "parent.job_id", "no training job"),
        ({"parent": {"step": 9}}, "parent.step", "no checkpoint of step 9; it has: 1"),
        ({"base_model": "smollm2-135m-instruct"}, "base_model", "a fork keeps its parent's"),
        ({"hyperparameters": {"lora_rank": 8}}, "hyperparameters.lora_rank", "has 16"),
        ({"hyperparameters": {"lora_rank": 0}}, "parent", "lora_rank above 0"),
    ],
)
def test_a_fork_that_does_not_fit_its_parent_is_refused(
    jobs_api: TestClient,
    spec: dict[str, Any],
    finished: dict[str, Any],
    changed: dict[str, Any],
    param: str,
    said: str,
) -> None:
    parent = {"job_id": finished["id"], "step": 1} | changed.get("parent", {})
    response = jobs_api.post("/train-jobs", json=spec | changed | {"parent": parent})
    assert said in check_error(response, 422, "invalid_request", param)


def test_a_fork_starts_from_its_parents_adapter(
    jobs_api: TestClient, spec: dict[str, Any], finished: dict[str, Any]
) -> None:
    adapter = Path(finished["run_dir"]) / "checkpoints" / "step_1"
    (adapter / "adapter_config.json").write_text("{}")
    fork = spec | {"parent": {"job_id": finished["id"], "step": 1}}
    job = succeed(jobs_api, create(jobs_api, fork))
    request = json.loads((Path(job["run_dir"]) / "job.json").read_bytes())
    assert request["parent_adapter_path"] == str(adapter)
