"""POST /generate answers a doubtful question itself: the model is not asked, nor needed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from tests.conftest import SHOP

STRANGE = "How many airports are there in each county?"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The app without an engine."""
    root = tmp_path_factory.mktemp("doubts")
    path: Path = root / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    settings = load_settings(
        home=root / "home", data_dir=str(root / "data"), engine="off", workers=1
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def generate(app: TestClient, question: str, **more: Any) -> tuple[int, dict[str, Any]]:
    response = app.post("/generate", json={"question": question, "db_id": "shop"} | more)
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("question", "status", "says"),
    [
        (STRANGE, "cannot_answer", "airports"),
        ("delete all customers", "cannot_answer", "Only reading"),
        ("hello", "cannot_answer", "no question"),
        ("And in Paris?", "clarify", "`customer`"),
    ],
)
def test_a_doubt_is_answered_without_a_model(
    app: TestClient, question: str, status: str, says: str
) -> None:
    code, answer = generate(app, question)
    assert (code, answer["status"]) == (200, status)
    assert says in answer["clarification"]
    assert (answer["sql"], answer["candidates"], answer["result"]) == (None, [], None)
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (0, 0)
    assert (answer["prompt_sha256"], answer["confidence"]) == ("", None)


def test_clarify_false_goes_to_the_model(app: TestClient) -> None:
    code, answer = generate(app, STRANGE, clarify=False)
    assert (code, answer["error"]["code"]) == (503, "engine_off")


def test_a_plain_question_goes_to_the_model(app: TestClient) -> None:
    code, answer = generate(app, "How many customers are there?")
    assert (code, answer["error"]["code"]) == (503, "engine_off")


def test_evidence_answers_the_question_back(app: TestClient) -> None:
    code, answer = generate(app, STRANGE, evidence="airports are customers, county is the city")
    assert (code, answer["error"]["code"]) == (503, "engine_off")


def test_history_is_gone_on_from(app: TestClient) -> None:
    turn = {"question": "How many customers live in Rome?", "sql": "SELECT 1"}
    code, answer = generate(app, "And in Paris?", history=[turn])
    assert (code, answer["error"]["code"]) == (503, "engine_off")


def test_a_doubt_is_streamed_after_the_schema(app: TestClient) -> None:
    response = app.post("/generate", json={"question": "hello", "db_id": "shop", "stream": True})
    names = [
        line.removeprefix("event: ") for line in response.text.splitlines() if "event:" in line
    ]
    assert "generating" not in response.text.split("cannot_answer")[0]
    assert names
    assert "cannot_answer" in response.text
    assert "schema" in response.text
