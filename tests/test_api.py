"""The service as its callers see it: verify, databases, health, keys, request ids, metrics."""

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.logs import JsonFormatter
from service.settings import Settings
from tests.test_api_errors import check_error

GOLD = "SELECT name FROM customer WHERE city = 'Rome'"


def test_verify_answers_in_order_with_every_promised_field(client: TestClient) -> None:
    predictions = ["SELECT 1", GOLD, "DROP TABLE customer", GOLD]
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": predictions}
    answer = client.post("/verify", json=body).json()
    assert set(answer) == {"db_id", "database_sha256", "verifier_version", "gold", "verdicts"}
    assert set(answer["gold"]) >= {"status", "rows", "columns", "elapsed_ms", "cached"}
    assert [v["status"] for v in answer["verdicts"]] == ["mismatch", "match", "forbidden", "match"]
    assert set(answer["verdicts"][0]) == {
        "status", "reward", "masked", "retryable", "metrics", "components", "flags", "sql", "rows",
        "elapsed_ms", "cached", "message", "diff", "timing", "robust",
    }  # fmt: skip


def test_half_a_surrogate_pair_is_a_verdict_of_its_own(client: TestClient) -> None:
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": ["SELECT '\ud800'", GOLD]}
    headers = {"content-type": "application/json"}
    answer = client.post("/verify", content=json.dumps(body), headers=headers).json()
    assert [v["status"] for v in answer["verdicts"]] == ["syntax_error", "match"]
    assert answer["verdicts"][0]["sql"] == "SELECT '\\ud800'"


def test_the_hash_is_that_of_the_file(client: TestClient, app_settings: Settings) -> None:
    path = Path(app_settings.data_dir) / "shop" / "shop.sqlite"
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": [GOLD]}
    answer = client.post("/verify", json=body).json()
    assert answer["database_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert client.get("/databases/shop").json()["sha256"] == answer["database_sha256"]


def test_a_masked_verdict_has_a_null_reward(client: TestClient) -> None:
    body = {"db_id": "shop", "gold_sql": "SELECT nme FROM customer", "predictions": [GOLD]}
    answer = client.post("/verify", json=body).json()
    verdict = answer["verdicts"][0]
    assert (verdict["status"], verdict["reward"], verdict["masked"]) == ("gold_error", None, True)
    assert "nme" in answer["gold"]["message"]


def test_databases_are_listed_and_described(client: TestClient) -> None:
    names = [item["db_id"] for item in client.get("/databases").json()["data"]]
    assert names == ["alpine_retail", "shop"]
    tables = client.get("/databases/shop").json()["tables"]
    assert [(t["name"], t["rows"]) for t in tables] == [("customer", 4), ("orders", 4)]
    assert tables[1]["foreign_keys"][0]["parent"] == "customer"


def test_health_and_readiness_name_each_part(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    ready = client.get("/readyz").json()
    assert set(ready["checks"]) == {"databases", "workers", "model", "jobs"}
    assert ready["ready"]
    assert ready["checks"]["model"]["detail"].startswith("off")


def test_a_callers_request_id_is_kept_and_a_bad_one_replaced(client: TestClient) -> None:
    kept = client.get("/healthz", headers={"X-Request-ID": "abc-1.2"})
    replaced = client.get("/healthz", headers={"X-Request-ID": "bad id!"})
    assert kept.headers["x-request-id"] == "abc-1.2"
    assert len(replaced.headers["x-request-id"]) == 32


def test_prometheus_counts_requests_and_verdicts(client: TestClient) -> None:
    client.post("/verify", json={"db_id": "shop", "gold_sql": GOLD, "predictions": ["SELECT 1"]})
    client.get("/no/such/path")
    text = client.get("/metrics").text
    assert 'verisql_verdicts_total{status="mismatch"}' in text
    assert 'verisql_requests_total{method="POST",path="/verify",status="200"}' in text
    assert 'path="(none)",status="404"' in text
    assert "verisql_workers_alive 4.0" in text


def test_a_log_line_is_json_with_its_request_and_data() -> None:
    record = logging.LogRecord("service", logging.INFO, "f", 1, "hello %s", ("you",), None)
    record.data = {"status": 200}
    row = json.loads(JsonFormatter().format(record))
    assert (row["message"], row["level"], row["status"]) == ("hello you", "info", 200)
    assert set(row) >= {"time", "logger", "request_id"}


@pytest.fixture(scope="module")
def locked(
    app_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    home = tmp_path_factory.mktemp("locked")
    settings = app_settings.model_copy(update={"api_keys": "one,two", "home": home, "workers": 1})
    with TestClient(create_app(settings)) as started:
        yield started


@pytest.mark.parametrize("header", ["", "Bearer three", "Basic one", "Bearer", "one"])
def test_without_a_valid_key_only_health_answers(locked: TestClient, header: str) -> None:
    headers = {"Authorization": header}
    for path in ("/databases", "/train-jobs", "/metrics"):
        response = locked.get(path, headers=headers)
        check_error(response, 401, "unauthorized", "authorization")
    assert locked.get("/healthz", headers=headers).status_code == 200
    assert locked.get("/readyz", headers=headers).status_code == 200


def test_a_strangers_body_is_neither_received_nor_parsed(locked: TestClient) -> None:
    asked: list[bool] = []

    def body() -> Iterator[bytes]:
        asked.append(True)
        yield b"{"

    headers = {"content-type": "application/json", "X-Request-ID": "mine"}
    response = locked.post("/verify", content=body(), headers=headers)
    check_error(response, 401, "unauthorized", "authorization")
    assert (response.headers["X-Request-ID"], response.headers["Connection"]) == ("mine", "close")
    assert asked == []


@pytest.mark.parametrize("path", ["/nothing", "/redoc", "/healthz/", "/train-jobs/x/logs"])
def test_a_stranger_does_not_learn_which_paths_there_are(locked: TestClient, path: str) -> None:
    check_error(locked.get(path), 401, "unauthorized", "authorization")
    check_error(locked.post("/healthz"), 401, "unauthorized", "authorization")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_health_and_documentation_need_no_key(locked: TestClient, path: str) -> None:
    assert locked.get(path).status_code == 200


@pytest.mark.parametrize("key", ["one", "two"])
def test_each_key_opens_the_service(locked: TestClient, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    assert locked.get("/databases", headers=headers).status_code == 200
