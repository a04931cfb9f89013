"""One error body everywhere: a table of bad requests, each with its code and its field."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings

GOLD = "SELECT 1"
VERIFY = {"db_id": "shop", "gold_sql": GOLD, "predictions": ["SELECT 1"]}
JOB = {"base_model": "smollm2-135m-instruct", "train_data": "demo"}


def check_error(response: Any, status: int, code: str, param: str | None) -> str:
    """Assert the contract of an error answer; returns its message."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error"}
    error = body["error"]
    assert set(error) == {"code", "message", "param", "request_id"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    return str(error["message"])


BAD_VERIFY: list[tuple[dict[str, Any], int, str, str]] = [
    ({"db_id": "nope"}, 404, "unknown_database", "db_id"),
    ({"db_id": "../shop"}, 404, "unknown_database", "db_id"),
    ({"db_id": ""}, 422, "invalid_request", "db_id"),
    ({"db_id": 7}, 422, "invalid_request", "db_id"),
    ({"gold_sql": ""}, 422, "invalid_request", "gold_sql"),
    ({"gold_sql": "  \n"}, 422, "invalid_request", "gold_sql"),
    ({"gold_sql": []}, 422, "invalid_request", "gold_sql"),
    ({"gold_sql": [GOLD] * 17}, 422, "invalid_request", "gold_sql"),
    ({"gold_sql": [GOLD, 1]}, 422, "invalid_request", "gold_sql"),
    ({"predictions": []}, 422, "invalid_request", "predictions"),
    ({"predictions": "SELECT 1"}, 422, "invalid_request", "predictions"),
    ({"predictions": [None]}, 422, "invalid_request", "predictions.0"),
    ({"predictions": ["SELECT 1"] * 51}, 413, "too_large", "predictions"),
    ({"metrics": []}, 422, "invalid_request", "metrics"),
    ({"metrics": ["bird_ex", "bird_ex"]}, 422, "invalid_request", "metrics"),
    ({"metrics": ["accuracy"]}, 422, "invalid_request", "metrics.0"),
    ({"extract": "json"}, 422, "invalid_request", "extract"),
    ({"reward": "artic"}, 422, "invalid_request", "reward"),
    ({"timeout_s": 0}, 422, "invalid_request", "timeout_s"),
    ({"timeout_s": "soon"}, 422, "invalid_request", "timeout_s"),
    ({"predicitons": []}, 422, "invalid_request", "predicitons"),
]


@pytest.mark.parametrize(("change", "status", "code", "param"), BAD_VERIFY)
def test_a_bad_verify_request_is_named(
    client: TestClient, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    check_error(client.post("/verify", json=VERIFY | change), status, code, param)


def test_an_unknown_field_gets_its_nearest_name(client: TestClient) -> None:
    response = client.post("/verify", json=VERIFY | {"predicitons": []})
    message = check_error(response, 422, "invalid_request", "predicitons")
    assert "did you mean 'predictions'" in message


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"db_id": "\xff"}', 400, "invalid_json"),
        (b"[1, 2]", 422, "invalid_request"),
        (b"", 422, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"db_id": "shop", "gold_sql": "\\ud800", "predictions": ["x"]}', 422, "invalid_request"),
    ],
)
@pytest.mark.parametrize("path", ["/verify", "/generate", "/train-jobs"])
def test_a_body_that_is_no_json_object_is_refused(
    client: TestClient, path: str, body: bytes, status: int, code: str
) -> None:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["error"]["code"] in ("invalid_json", "invalid_request")
    if path == "/verify":
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"db_id": ' + b"1" * 6000 + b"}", "a number has more than 4300 digits"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"db_id": "\xff"}', "not UTF-8 at byte 11"),
        (b"{", "at character 1"),
    ],
)
def test_an_unreadable_body_is_told_why(client: TestClient, body: bytes, said: str) -> None:
    response = client.post("/verify", content=body, headers={"content-type": "application/json"})
    assert said in check_error(response, 400, "invalid_json", None)


HALF = "\ud800"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/verify", VERIFY | {HALF: 1}),
        ("/verify", VERIFY | {"db_id": HALF}),
        ("/train-jobs", JOB | {"metadata": {HALF: "x"}}),
        ("/train-jobs", JOB | {"name": HALF}),
    ],
)
def test_half_a_surrogate_pair_is_refused_in_names_and_values(
    client: TestClient, path: str, body: dict[str, Any]
) -> None:
    headers = {"content-type": "application/json"}
    response = client.post(path, content=json.dumps(body), headers=headers)
    assert "surrogate" in check_error(response, 422, "invalid_request", None)


def test_a_message_with_half_a_surrogate_pair_can_be_sent(
    client: TestClient, app_settings: Settings
) -> None:
    rows = [{"db_id": HALF, "question": "?", "SQL": GOLD}]
    (Path(app_settings.data_dir) / "half.json").write_text(json.dumps(rows))
    response = client.post("/train-jobs", json=JOB | {"train_data": "half.json"})
    assert "\\ud800" in check_error(response, 422, "invalid_request", "train_data")


def test_a_huge_body_is_refused_declared_or_streamed(client: TestClient) -> None:
    huge = b'{"x": "' + b"x" * (4 * 2**20) + b'"}'
    headers = {"content-type": "application/json"}
    declared = client.post("/verify", content=huge, headers=headers)
    check_error(declared, 413, "too_large", None)
    pieces = (huge[at : at + 65_536] for at in range(0, len(huge), 65_536))
    check_error(client.post("/verify", content=pieces, headers=headers), 413, "too_large", None)


BAD_GENERATE: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"question": ""}, 422, "invalid_request", "question"),
    ({"question": " \t"}, 422, "invalid_request", "question"),
    ({"question": "x" * 1001}, 413, "too_large", "question"),
    ({"evidence": "x" * 1001}, 413, "too_large", "evidence"),
    ({"temperature": -1}, 422, "invalid_request", "temperature"),
    ({"max_tokens": 0}, 422, "invalid_request", "max_tokens"),
    ({"questoin": "x"}, 422, "invalid_request", "questoin"),
    ({"db_id": "nope"}, 404, "unknown_database", "db_id"),
    ({}, 503, "engine_off", None),
]


@pytest.mark.parametrize(("change", "status", "code", "param"), BAD_GENERATE)
def test_a_bad_generate_request_is_named(
    client: TestClient, change: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    body = {"question": "How many customers?", "db_id": "shop"} | change
    check_error(client.post("/generate", json=body), status, code, param)


BAD_JOBS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"base_model": "no/such-model"}, 422, "model_unavailable", "base_model"),
    ({"base_model": "a" * 300}, 422, "model_unavailable", "base_model"),
    ({"base_model": "/" + "a" * 300}, 422, "model_unavailable", "base_model"),
    ({"base_model": "~nosuchuser/x"}, 422, "model_unavailable", "base_model"),
    ({"base_model": "/a\0b"}, 422, "model_unavailable", "base_model"),
    ({"train_data": "/etc/passwd"}, 422, "unknown_dataset", "train_data"),
    ({"train_data": "../../x.json"}, 422, "unknown_dataset", "train_data"),
    ({"recipe": ["sft"]}, 422, "invalid_request", "recipe.0"),
    ({"launcher": "slurm"}, 422, "invalid_request", "launcher"),
    ({"resources": {"gpus_per_node": 2}}, 422, "unsupported_value", "resources.gpus_per_node"),
    ({"resources": {"nodes": 2}}, 422, "unsupported_value", "resources.nodes"),
    ({"resources": {"cpus": 1000}}, 422, "unsupported_value", "resources.cpus"),
    (
        {"hyperparameters": {"learning_rat": 1e-5}},
        422, "invalid_request", "hyperparameters.learning_rat",
    ),
    (
        {"hyperparameters": {"learning_rate": 1.0}},
        422, "invalid_request", "hyperparameters.learning_rate",
    ),
    ({"max_steps": 0}, 422, "invalid_request", "max_steps"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "status", "code", "param"), BAD_JOBS)
def test_a_job_that_cannot_run_is_refused_before_anything_is_spent(
    client: TestClient, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    check_error(client.post("/train-jobs", json=JOB | change), status, code, param)
    assert client.get("/train-jobs").json()["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/verify", 405, "method_not_allowed"),
        ("DELETE", "/databases", 405, "method_not_allowed"),
        ("GET", "/databases/nope", 404, "unknown_database"),
        ("GET", "/train-jobs/nope", 404, "unknown_job"),
        ("POST", "/train-jobs/nope/cancel", 404, "unknown_job"),
        ("GET", "/train-jobs/nope/metrics", 404, "unknown_job"),
        ("GET", "/train-jobs?limit=0", 422, "invalid_request"),
        ("GET", "/train-jobs?status=lost", 422, "invalid_request"),
    ],
)
def test_a_wrong_address_has_the_same_body(
    client: TestClient, method: str, path: str, status: int, code: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
