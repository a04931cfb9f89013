"""POST /generate through the real app, with a model server that says what it is told."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from service.app import create_app
from service.engine.base import Completion
from service.generation.checker import Checker
from service.generation.draft import Draft, draft
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.settings import load_settings
from service.text2sql.databases import DatabaseRegistry
from tests.conftest import SHOP
from tests.fixtures_engine import EngineDouble
from tests.test_api_errors import check_error

ASK = {"question": "Who lives in Rome?", "db_id": "shop"}
FIELDS = (
    "status sql dialect sqlite_sql candidates confidence confidence_basis verified"
    " verified_query_id tables columns explanation result chart clarification repairs warnings"
    " model database_sha256 template left_out values prompt_sha256 usage latency_ms debug"
    " request_id"
).split()
ROME = "```sql\nSELECT name FROM customer WHERE city = 'Rome'\n```"


@pytest.fixture(scope="module")
def double() -> Iterator[EngineDouble]:
    """One model server for the tests of this file."""
    with EngineDouble(ROME) as started:
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
        | {"mean_logprob": None, "repaired": 0, "finish_reason": "stop"}
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


@pytest.fixture
def says(double: EngineDouble) -> Iterator[EngineDouble]:
    """The double, to be told what to say for one test."""
    double.requests.clear()
    yield double
    double.text, double.logprob, double.hang = ROME, -0.5, False
    double.finish_reason = "stop"
    double.fault_for = lambda body: None


def test_candidates_of_one_call_vote_by_their_results(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = [
        "SELECT name FROM customer WHERE city = 'Paris'",
        "SELECT name FROM customer WHERE city = 'Rome' ORDER BY 1 DESC",
        "SELECT nam FROM customer",
        "SELECT name FROM customer WHERE city LIKE 'rome'",
        "I do not know",
    ]
    answer = asking.post("/generate", json=ASK | {"n": 5, "execute": True}).json()
    assert [c["votes"] for c in answer["candidates"]] == [1, 2, 0, 2, 0]
    assert [c["valid"] for c in answer["candidates"]] == [True, True, False, True, False]
    assert "no such column: nam" in answer["candidates"][2]["error"]
    assert sorted(answer["result"]["rows"]) == [["Bob"], ["Dan"]]
    assert answer["confidence"] == pytest.approx(0.4)
    assert answer["confidence_basis"] == "share of votes, not calibrated for this model"
    assert [(r["n"], r["logprobs"]) for r in says.requests] == [(5, True)]
    assert says.requests[0]["temperature"] == 0.8


@pytest.mark.parametrize("vote", [True, False])
def test_of_several_candidates_the_rows_of_the_chosen_one_are_given(
    asking: TestClient, says: EngineDouble, vote: bool
) -> None:
    says.text = ["SELECT 1", "SELECT name FROM customer ORDER BY id", "SELECT name FROM customer"]
    says.logprob = lambda text: -0.1 if "ORDER" in text else -0.7
    body = ASK | {"n": 3, "vote": vote, "execute": True, "max_rows": 2}
    result = asking.post("/generate", json=body).json()["result"]
    assert result["rows"] == [["Ada"], ["Bob"]]
    assert (result["row_count"], result["truncated"]) == (2, True)


def test_rows_that_are_no_part_of_the_answer_are_not_kept(registry: DatabaseRegistry) -> None:
    async def main() -> list[Draft]:
        async with Executor(workers=1, limits=Limits()) as executor:
            database = registry.get("shop")
            checker = Checker(executor, database, "run", max_rows=9, keeps_rows=False)
            return await checker.check([draft(Completion("SELECT name FROM customer", 1, "stop"))])

    [seen] = asyncio.run(main())
    assert seen.checked
    assert (seen.error, seen.checked.names, seen.checked.rows) == (None, ("name",), None)


def test_a_repair_that_cannot_change_the_result_is_left(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = ["SELECT 1", "SELECT 1", "SELECT nam FROM customer"]
    answer = asking.post("/generate", json=ASK | {"n": 3, "repair": 2}).json()
    assert [candidate["votes"] for candidate in answer["candidates"]] == [2, 2, 0]
    assert (answer["repairs"], len(says.requests)) == ([], 1)


def test_a_vote_without_execute_gives_no_rows(asking: TestClient, says: EngineDouble) -> None:
    says.text = ["SELECT name FROM customer", "SELECT name FROM customer ORDER BY 1", "SELECT 1"]
    answer = asking.post("/generate", json=ASK | {"n": 3}).json()
    assert [c["votes"] for c in answer["candidates"]] == [2, 2, 1]
    assert (answer["result"], answer["chart"]) == (None, None)


def test_a_long_query_is_told_of_as_a_short_one_is(asking: TestClient, says: EngineDouble) -> None:
    says.text = "SELECT name FROM customer WHERE " + " OR ".join(["city = 'Rome'"] * 100)
    answer = asking.post("/generate", json=ASK | {"execute": True}).json()
    assert answer["columns"] == ["customer.city", "customer.name"]
    assert (answer["explanation"].startswith("Lists name"), answer["result"]["row_count"]) == (
        True, 2,
    )  # fmt: skip


def test_ties_go_to_the_more_probable(asking: TestClient, says: EngineDouble) -> None:
    says.text = ["SELECT 1", "SELECT 2"]
    says.logprob = lambda text: -0.1 if "2" in text else -0.7
    answer = asking.post("/generate", json=ASK | {"n": 2}).json()
    assert answer["sql"] == "SELECT 2"
    logprobs = [c["mean_logprob"] for c in answer["candidates"]]
    assert logprobs == pytest.approx([-0.7, -0.1])


def test_without_a_vote_candidates_are_compiled_only(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = ["SELECT 1", "SELECT 1"]
    answer = asking.post("/generate", json=ASK | {"n": 2, "vote": False}).json()
    assert (answer["result"], answer["confidence"]) == (None, None)


@pytest.mark.parametrize("stream", [False, True])
def test_several_candidates_at_temperature_zero_are_refused(
    asking: TestClient, stream: bool
) -> None:
    response = asking.post("/generate", json=ASK | {"n": 2, "temperature": 0, "stream": stream})
    message = check_error(response, 422, "invalid_request", "temperature")
    assert "would be equal" in message


def test_a_failing_query_goes_back_with_its_error(asking: TestClient, says: EngineDouble) -> None:
    def text(body: dict[str, Any], index: int) -> str:
        return ROME if len(body["messages"]) > 2 else "SELECT nam FROM customer"

    says.text = text
    answer = asking.post("/generate", json=ASK | {"repair": 3}).json()
    assert answer["sql"] == "SELECT name FROM customer WHERE city = 'Rome'"
    assert answer["repairs"] == [
        {"candidate": 0, "sql": "SELECT nam FROM customer", "error": "no such column: nam"}
    ]
    assert answer["candidates"][0]["repaired"] == 1
    assert "no such column: nam" in says.requests[-1]["messages"][-1]["content"]
    assert "name" in says.requests[-1]["messages"][-1]["content"].split("customer.", 1)[1]
    assert answer["usage"]["prompt_tokens"] == 14


@pytest.mark.parametrize(
    ("texts", "status"),
    [([ROME, "SELECT 1", "SELECT nam FROM customer"], 200), (["SELECT nam FROM customer"], 503)],
)
def test_a_repair_that_meets_a_server_in_trouble_costs_no_answer_that_is_there(
    asking: TestClient, says: EngineDouble, texts: list[str], status: int
) -> None:
    says.text = texts
    says.fault_for = lambda body: (500, "boom") if len(body["messages"]) > 2 else None
    response = asking.post("/generate", json=ASK | {"n": 3, "repair": 2})
    assert response.status_code == status
    if status == 200:
        valid = [candidate["valid"] for candidate in response.json()["candidates"]]
        assert (valid, response.json()["repairs"]) == ([True, True, False], [])


@pytest.mark.parametrize("rounds", [0, 2])
def test_repair_is_bounded(asking: TestClient, says: EngineDouble, rounds: int) -> None:
    says.text = lambda body, index: f"SELECT nam{len(says.requests)} FROM customer"
    answer = asking.post("/generate", json=ASK | {"repair": rounds}).json()
    assert len(answer["repairs"]) == rounds
    assert len(says.requests) == 1 + rounds
    assert not answer["candidates"][0]["valid"]


def test_a_query_that_comes_back_unchanged_is_not_sent_again(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = "SELECT nam FROM customer"
    answer = asking.post("/generate", json=ASK | {"repair": 5}).json()
    assert (len(answer["repairs"]), len(says.requests)) == (1, 2)


def test_candidates_that_failed_alike_go_back_once(asking: TestClient, says: EngineDouble) -> None:
    def text(body: dict[str, Any], index: int) -> str:
        return ROME if len(says.requests) > 1 else "SELECT nam FROM customer"

    says.text = text
    body = ASK | {"n": 3, "repair": 1, "debug": True}
    answer = asking.post("/generate", json=body).json()
    assert [c["votes"] for c in answer["candidates"]] == [3, 3, 3]
    assert (len(answer["repairs"]), len(says.requests)) == (3, 2)
    [exchange] = answer["debug"]["repairs"]
    assert exchange == {"messages": says.requests[1]["messages"], "completion": ROME}


def test_a_query_that_was_cut_is_no_answer_though_it_compiles(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text, says.finish_reason = "SELECT name FROM customer", "length"
    answer = asking.post("/generate", json=ASK | {"execute": True}).json()
    assert not answer["candidates"][0]["valid"]
    assert "cut at max_tokens" in answer["candidates"][0]["error"]
    assert answer["result"] is None


def test_debug_gives_what_went_to_the_model_and_came_back(
    asking: TestClient, says: EngineDouble
) -> None:
    debug = asking.post("/generate", json=ASK | {"debug": True}).json()["debug"]
    assert debug == {
        "messages": says.requests[0]["messages"],
        "completions": [ROME],
        "repairs": [],
    }


def test_earlier_turns_reach_the_model(asking: TestClient, says: EngineDouble) -> None:
    turn = {"question": "Who lives in Paris?", "sql": "SELECT 'an earlier query'"}
    asking.post("/generate", json=ASK | {"history": [turn]})
    sent = json.dumps(says.requests[0]["messages"])
    assert "Who lives in Paris?" in sent
    assert "an earlier query" in sent


def test_another_dialect_is_translated_and_what_ran_is_kept(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = "SELECT name FROM customer WHERE name LIKE 'a%' LIMIT 1"
    answer = asking.post("/generate", json=ASK | {"dialect": "tsql", "execute": True}).json()
    assert "TOP 1" in answer["sql"]
    assert answer["sqlite_sql"] == answer["candidates"][0]["sql"] == says.text
    assert answer["result"]["rows"] == [["Ada"]]
    assert answer["warnings"]


def test_an_unknown_dialect_is_refused_before_the_model_is_asked(
    asking: TestClient, says: EngineDouble
) -> None:
    response = asking.post("/generate", json=ASK | {"dialect": "postgress"})
    assert "postgres" in check_error(response, 422, "invalid_request", "dialect")
    assert says.requests == []


def test_a_query_that_fails_is_not_passed_off_as_another_dialect(
    asking: TestClient, says: EngineDouble
) -> None:
    says.text = "SELECT nam FROM customer"
    answer = asking.post("/generate", json=ASK | {"dialect": " TSQL"}).json()
    assert (answer["dialect"], answer["sql"], answer["sqlite_sql"]) == ("tsql", None, says.text)
    assert "not carried over" in answer["warnings"][0]


def test_a_stream_tells_stages_and_text_and_ends_with_the_answer(
    asking: TestClient, says: EngineDouble
) -> None:
    response = asking.post("/generate", json=ASK | {"stream": True, "execute": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read_events(response.text)
    stages = [data["stage"] for name, data in events if name == "stage"]
    assert stages == ["schema", "generating", "executing"]
    assert "".join(data["text"] for name, data in events if name == "text") == ROME
    name, answer = events[-1]
    assert (name, answer["status"], answer["request_id"]) == (
        "done", "ok", response.headers["X-Request-ID"],
    )  # fmt: skip
    assert answer["result"]["rows"] == [["Bob"], ["Dan"]]


def test_what_fails_before_the_stream_begins_has_its_own_status(asking: TestClient) -> None:
    response = asking.post("/generate", json=ASK | {"db_id": "nope", "stream": True})
    check_error(response, 404, "unknown_database", "db_id")


def test_what_fails_in_the_stream_is_its_last_event(asking: TestClient, says: EngineDouble) -> None:
    says.fault_for = lambda body: (500, "boom")
    name, data = read_events(asking.post("/generate", json=ASK | {"stream": True}).text)[-1]
    assert (name, data["error"]["code"]) == ("error", "engine_unavailable")


@pytest.mark.parametrize("remember", [True, False])
def test_feedback_is_taken_on_answers_that_are_remembered(
    asking: TestClient, says: EngineDouble, remember: bool
) -> None:
    name = asking.post("/generate", json=ASK | {"remember": remember}).json()["request_id"]
    rated = asking.post("/feedback", json={"request_id": name, "rating": "negative"})
    assert rated.status_code == (200 if remember else 404)


def test_a_question_back_is_streamed_with_the_stage_before_it(asking: TestClient) -> None:
    body = ASK | {"question": "What is the capital of Peru?", "stream": True}
    events = read_events(asking.post("/generate", json=body).text)
    assert [name for name, _ in events] == ["stage", "done"]
    assert (events[0][1]["stage"], events[1][1]["status"]) == ("schema", "cannot_answer")


def test_a_stream_from_an_engine_that_starts_is_a_503_to_try_again(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:  # accepts and never answers
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        settings = load_settings(home=tmp_path, engine_url=url, workers=1)
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            plain, *streams = _asked_plain_and_streamed(client)
    for response in (plain, *streams):
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert response.json()["error"]["code"] == "engine_unavailable"


def test_a_stream_without_an_engine_is_a_503_as_the_plain_call_is(client: TestClient) -> None:
    plain, *streams = _asked_plain_and_streamed(client)
    for response in (plain, *streams):
        assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_off")
        assert response.headers.get("Retry-After") == plain.headers.get("Retry-After")


def _asked_plain_and_streamed(client: TestClient) -> list[Response]:
    ask = {"question": "How many stores are there?", "db_id": "alpine_retail"}
    said = [{"role": "user", "content": ask["question"]}]
    chat = {"model": "verisql/alpine_retail", "messages": said, "stream": True}
    return [
        client.post("/generate", json=ask),
        client.post("/generate", json=ask | {"stream": True}),
        client.post("/v1/chat/completions", json=chat),
    ]


def read_events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(event, data) of a stream of server-sent events."""
    frames = [dict(line.split(": ", 1) for line in f.split("\n")) for f in text.split("\n\n") if f]
    return [(f["event"], json.loads(f["data"])) for f in frames]
