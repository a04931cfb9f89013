"""POST /generate through the real app, with a model server that says what it is told."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from tests.conftest import SHOP
from tests.fixtures_engine import EngineDouble

ASK = {"question": "Who lives in Rome?", "db_id": "shop"}
FIELDS = (
    "status sql dialect candidates tables columns result chart clarification model prompt_sha256"
    " usage latency_ms request_id"
).split()


@pytest.fixture(scope="module")
def double() -> Iterator[EngineDouble]:
    """One model server for the tests of this file."""
    with EngineDouble("```sql\nSELECT name FROM customer WHERE city = 'Rome'\n```") as started:
        yield started


@pytest.fixture(scope="module")
def asking(double: EngineDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The app with the double as its engine, ready."""
    root = tmp_path_factory.mktemp("generate")
    path: Path = root / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    settings = load_settings(
        home=root / "home", data_dir=str(root / "data"), engine_url=double.url, workers=1
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        deadline = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        yield client


def test_the_answer_has_the_fields_of_the_contract(asking: TestClient) -> None:
    response = asking.post("/generate", json=ASK, headers={"X-Request-ID": "mine"})
    answer = response.json()
    assert list(answer) == FIELDS
    assert answer["request_id"] == response.headers["X-Request-ID"] == "mine"
    assert answer["model"] == {"name": "double", "revision": None, "adapter": None}
    assert answer["candidates"] == [
        {"sql": answer["sql"], "valid": True, "error": None, "votes": 1}
    ]


def test_execute_gives_the_rows(asking: TestClient) -> None:
    answer = asking.post("/generate", json=ASK | {"execute": True, "max_rows": 1}).json()
    result = answer["result"]
    assert (result["columns"], result["rows"]) == (["name"], [["Bob"]])
    assert (result["row_count"], result["truncated"]) == (1, True)


def test_one_question_has_one_prompt_hash(asking: TestClient) -> None:
    hashes = {asking.post("/generate", json=ASK).json()["prompt_sha256"] for _ in range(2)}
    hashes.add(asking.post("/generate", json=ASK | {"evidence": "x"}).json()["prompt_sha256"])
    assert len(hashes) == 2


def test_answers_are_counted(asking: TestClient) -> None:
    asking.post("/generate", json=ASK)
    text = asking.get("/metrics").text
    assert 'verisql_generations_total{status="ok"}' in text
    assert 'verisql_tokens_total{kind="completion"}' in text


def test_a_lone_surrogate_is_refused(asking: TestClient) -> None:
    body = b'{"question": "\\ud800", "db_id": "shop"}'
    headers = {"content-type": "application/json"}
    response = asking.post("/generate", content=body, headers=headers)
    assert response.status_code == 422
    assert "question" in response.json()["error"]["message"]


def test_an_answer_longer_than_the_context_is_refused(asking: TestClient) -> None:
    response = asking.post("/generate", json=ASK | {"max_tokens": 4096})
    assert response.status_code == 413
    assert response.json()["error"]["param"] == "max_tokens"


def test_a_model_server_in_trouble_is_a_503_to_try_again(
    asking: TestClient, double: EngineDouble
) -> None:
    double.fault_for = lambda body: (500, "boom")
    response = asking.post("/generate", json=ASK)
    double.fault_for = lambda body: None
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_unavailable")
    assert int(response.headers["Retry-After"]) > 0
