"""Checkpoints into serving, through the real app with a model server double that takes adapters."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.promotion.dev_sample import held
from tests.fixtures_engine import EngineDouble
from tests.fixtures_promote import DEV, MANIFEST, RIGHT, WRONG, ended_job, write_checkpoint
from tests.test_api_errors import check_error
from tests.test_api_models import answered_by, serving

GOOD = "```sql\nSELECT {} FROM store\n```"


class Answers:
    """How many of dev's questions each model gets right; `base` is whoever is not named."""

    def __init__(self) -> None:
        self.right: dict[str, int] = {"base": 5}

    def __call__(self, body: dict[str, Any], _index: int) -> str:
        asked = body["messages"][-1]["content"]
        for question in DEV:
            if str(question["question"]) in asked:
                name = body["model"].partition("@")[0]
                right = self.right.get(name, self.right["base"])
                return RIGHT if int(str(question["question_id"])) < right else WRONG
        return GOOD.format(len(asked))


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def double(answers: Answers) -> Iterator[EngineDouble]:
    with EngineDouble(answers) as started:
        started.adapters = {}
        yield started


@pytest.fixture
def home(shop: Path) -> Path:
    shop.parents[1].joinpath("dev.json").write_text(json.dumps(DEV))
    return shop.parents[2] / "home"


@pytest.fixture
def job(home: Path) -> Job:
    return ended_job(home, [4, 8], dev=home.parent / "data" / "dev.json", name="bird", seed=3)


@pytest.fixture
def client(home: Path, double: EngineDouble, job: Job) -> Iterator[TestClient]:
    with serving(home, double.url) as started:
        yield started


def promote(client: TestClient, job: Job, step: int, **body: Any) -> Any:
    return client.post(f"/train-jobs/{job.id}/checkpoints/{step}/promote", json=body)


def checks_of(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in body["checks"]}


def test_a_checkpoint_goes_live_and_answers_say_so(
    client: TestClient, job: Job, answers: Answers
) -> None:
    answers.right["tuned"] = 6
    told = promote(client, job, 8, name="tuned")
    assert told.status_code == 200, told.text
    outcome = told.json()
    checks = checks_of(outcome)
    assert [*checks][-2:] == ["trainer_logprob", "dev_sample"]
    assert all(check["passed"] for check in checks.values())
    assert checks["dev_sample"]["value"] == pytest.approx(0.6)
    assert checks["dev_sample"]["limit"] == pytest.approx(0.45)
    assert checks["dev_sample"]["detail"].endswith(
        "dev.json: 6 of 10 right, the live model 5; 1 won, 0 lost"
    )
    assert outcome["live"].startswith("tuned@")
    assert answered_by(client) == outcome["live"]
    event = RunDir(job.run_dir).events()[-1]
    assert (event["type"], event["message"]) == (
        "promotion",
        f"step 8 is live as {outcome['live']}",
    )


def test_the_registry_tells_where_it_comes_from(client: TestClient, job: Job) -> None:
    promote(client, job, 4)
    _, item = client.get("/models").json()["data"]
    assert item["name"] == f"{job.id}-step-4".lower()
    assert item["state"] == "live"
    lineage = item["lineage"]
    assert {name: lineage[name] for name in MANIFEST} == MANIFEST
    assert (lineage["job_id"], lineage["step"]) == (job.id, 4)
    assert (lineage["spec_sha256"], lineage["job_name"]) == (job.spec_sha256, "bird")
    assert lineage["base_model"] == job.spec.base_model


def test_one_call_goes_back(client: TestClient, job: Job) -> None:
    first = promote(client, job, 4).json()["live"]
    second = promote(client, job, 8).json()["live"]
    assert answered_by(client) == second
    back = client.post("/models/roll-back")
    assert back.json()["live"] == first
    assert answered_by(client) == first


def test_a_worse_one_stays_out_and_the_live_one_answers(
    client: TestClient, job: Job, answers: Answers, double: EngineDouble
) -> None:
    live = promote(client, job, 4).json()["live"]
    answers.right["worse"] = 3
    told = promote(client, job, 8, name="worse")
    assert told.status_code == 409
    assert told.json()["error"]["code"] == "canary_failed"
    outcome = told.json()["outcome"]
    assert (outcome["activated"], outcome["live"]) == (False, live)
    assert [n for n, c in checks_of(outcome).items() if not c["passed"]] == ["dev_sample"]
    assert double.adapters is not None
    assert list(double.adapters) == [live]
    assert answered_by(client) == live
    event = RunDir(job.run_dir).events()[-1]
    assert (event["level"], event["type"]) == ("warning", "promotion")
    assert promote(client, job, 8, name="worse", drop=0.2).status_code == 200
    assert answered_by(client) == outcome["model"]


def test_what_the_server_computes_otherwise_than_the_trainer_stays_out(
    client: TestClient, job: Job
) -> None:
    run = RunDir(job.run_dir)
    write_checkpoint(run, 12, logprob=-1.5)
    outcome = promote(client, job, 12).json()["outcome"]
    checks = checks_of(outcome)
    assert not checks["trainer_logprob"]["passed"]
    assert checks["trainer_logprob"]["value"] == pytest.approx(1.0)
    assert "dev_sample" not in checks  # It costs time, and one reason is enough.


def test_one_without_the_trainers_record_stays_out(client: TestClient, job: Job) -> None:
    (write_checkpoint(RunDir(job.run_dir), 16) / "canary.json").unlink()
    outcome = promote(client, job, 16).json()["outcome"]
    assert "canary.json" in outcome["reason"]
    assert outcome["live"] == "base"
    assert [model["name"] for model in client.get("/models").json()["data"]] == ["base"]


def test_it_may_be_repeated(client: TestClient, job: Job) -> None:
    first, again = promote(client, job, 4).json(), promote(client, job, 4).json()
    assert again["live"] == again["previous"] == first["live"]
    assert again["activated"]
    assert again["checks"] == []
    assert len(client.get("/models").json()["data"]) == 2


def test_dev_can_be_left_out(client: TestClient, job: Job) -> None:
    assert "dev_sample" not in checks_of(promote(client, job, 4, questions=0).json())
    few = promote(client, job, 8, questions=4).json()
    assert " of 4 right" in checks_of(few)["dev_sample"]["detail"]


def test_golds_that_do_not_run_judge_nobody(home: Path, double: EngineDouble) -> None:
    dev = home.parent / "data" / "broken.json"
    dev.write_text(json.dumps([question | {"SQL": "SELECT nothing"} for question in DEV]))
    job = ended_job(home, [4], dev=dev)
    with serving(home, double.url) as client:
        told = promote(client, job, 4).json()["outcome"]
    assert checks_of(told)["dev_sample"]["detail"].endswith(
        "only 0 of 10 questions could be judged"
    )


def test_a_job_without_dev_is_held_to_the_demonstration(home: Path, double: EngineDouble) -> None:
    job = ended_job(home, [4])
    with serving(home, double.url) as client:
        told = promote(client, job, 4).json()
    assert checks_of(told)["dev_sample"]["detail"].startswith("demo, its training data: ")
    assert " of 40 right" in checks_of(told)["dev_sample"]["detail"]


def test_a_fork_has_its_parent(home: Path, double: EngineDouble) -> None:
    first = ended_job(home, [4])
    parent = {"job_id": first.id, "step": 4}
    second = ended_job(home, [4], parent=parent)
    (RunDir(second.run_dir).checkpoints_path / "step_4" / "adapter_model.safetensors").write_bytes(
        (write_checkpoint(RunDir(second.run_dir), 5) / "adapter_model.safetensors").read_bytes()
    )
    with serving(home, double.url) as client:
        grown = promote(client, first, 4).json()["live"]
        promote(client, second, 4)
        item = client.get("/models").json()["data"][-1]
    assert item["parent"] == grown
    assert item["lineage"]["parent"] == parent


def test_what_cannot_be_promoted_is_named(client: TestClient, job: Job) -> None:
    message = check_error(promote(client, job, 5), 404, "unknown_checkpoint", "step")
    assert message.endswith("it has: 4, 8")
    path = "/train-jobs/job_none/checkpoints/4/promote"
    check_error(client.post(path), 404, "unknown_job", None)
    check_error(promote(client, job, 4, name="base"), 422, "invalid_request", "name")
    check_error(promote(client, job, 4, drop=2), 422, "invalid_request", "drop")
    check_error(promote(client, job, 4, steps=2), 422, "invalid_request", "steps")
    (write_checkpoint(RunDir(job.run_dir), 24) / "manifest.json").write_text("[]")
    check_error(promote(client, job, 24), 422, "invalid_request", "step")
    bad = write_checkpoint(RunDir(job.run_dir), 28)
    (bad / "adapter_model.safetensors").write_bytes(b"")
    message = check_error(promote(client, job, 28, name="bad"), 422, "adapter_rejected", "path")
    assert message.startswith("bad: ")
    promote(client, job, 4, name="taken")
    check_error(promote(client, job, 8, name="taken"), 409, "conflict", "name")


def test_weights_that_are_no_adapter_are_refused(home: Path, double: EngineDouble) -> None:
    job = ended_job(home, [4], hyperparameters={"lora_rank": 0})
    with serving(home, double.url) as client:
        message = check_error(promote(client, job, 4), 422, "unsupported_value", "step")
    assert "lora_rank 0" in message


def test_dev_that_is_gone_is_named_unless_it_is_not_asked(client: TestClient, job: Job) -> None:
    RunDir(job.run_dir).request().dev_data_path.unlink()  # type: ignore[union-attr]
    assert promote(client, job, 4).status_code == 422
    assert promote(client, job, 4, questions=0).status_code == 200
    (job.run_dir / "job.json").unlink()
    check_error(promote(client, job, 8), 422, "invalid_request", "questions")


def test_a_server_in_trouble_is_no_fault_of_the_model(
    client: TestClient, job: Job, double: EngineDouble
) -> None:
    def fault(body: dict[str, Any]) -> tuple[int, str] | None:
        asked = str(body.get("messages"))
        return (500, "{}") if str(DEV[3]["question"]) in asked else None

    double.fault_for = fault
    check_error(promote(client, job, 4), 503, "engine_unavailable", None)
    assert double.adapters == {}
    double.fault_for = lambda body: None
    assert promote(client, job, 4).status_code == 200


def test_what_dev_has_shown_since_is_in_the_registry(client: TestClient, job: Job) -> None:
    RunDir(job.run_dir).append_metrics({"step": 4, "stage": "evaluate", "bird_ex": 0.5})
    promote(client, job, 4)
    metrics = client.get("/models").json()["data"][-1]["lineage"]["metrics"]
    assert (metrics["reward"], metrics["bird_ex"]) == (0.75, 0.5)


def test_two_at_once_are_one_after_the_other(client: TestClient, job: Job) -> None:
    with ThreadPoolExecutor(4) as pool:
        told = list(
            pool.map(lambda n: promote(client, job, 4 + 4 * (n % 2), name="same"), range(4))
        )
    codes = {answer.status_code for answer in told}
    assert codes <= {200, 409}
    assert 200 in codes
    live = client.get("/models").json()["live"]
    assert live.startswith("same@")
    assert answered_by(client) == live


def test_where_no_adapters_are_taken_it_stays_registered(
    client: TestClient, job: Job, double: EngineDouble
) -> None:
    double.adapters = None
    check_error(promote(client, job, 4), 409, "adapters_off", None)
    base, kept = client.get("/models").json()["data"]
    assert (base["state"], kept["lineage"]["job_id"]) == ("live", job.id)


@pytest.mark.parametrize(
    ("right", "drop", "passed"), [(9, 0.1, True), (8, 0.1, False), (10, 0.0, True), (3, 1.0, True)]
)
def test_the_drop_is_a_share_of_those_judged(right: int, drop: float, passed: bool) -> None:
    pairs = [(number < right, True) for number in range(10)]
    assert held(pairs, 10, drop).passed == passed


def test_few_judged_are_no_sample() -> None:
    pairs = [(True, True)] * 4
    assert held(pairs, 8, 0.0).passed
    assert held(pairs, 8, 0.0).detail.endswith("; 4 not judged")
    assert not held(pairs, 9, 0.0).passed
