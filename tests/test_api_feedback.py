"""POST /feedback and what follows from it, through the real app."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.feedback.records import AnswerRecord, VerifiedQuery
from service.settings import Settings
from service.text2sql.questions import read_questions
from tests.conftest import SHOP
from tests.test_api_errors import check_error

ROOT = Path(__file__).parents[1]
RIGHT = "SELECT name FROM customer WHERE city = 'Rome'"
OTHER = "SELECT DISTINCT name FROM customer WHERE city = 'Rome'"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT max(i) FROM n"
ASKED = "Who lives in Rome?"


@pytest.fixture
def settings(app_settings: Settings, tmp_path: Path) -> Settings:
    """As app_settings, with a home and a `shop` of its own."""
    path = tmp_path / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    own = {"home": tmp_path / "home", "data_dir": str(tmp_path / "data"), "workers": 1}
    return app_settings.model_copy(update=own)


@pytest.fixture(scope="module")
def shared(app_settings: Settings) -> Iterator[TestClient]:
    """One service for the tests of this file."""
    with TestClient(create_app(app_settings), raise_server_exceptions=False) as started:
        yield started


@pytest.fixture
def app(shared: TestClient, app_settings: Settings) -> TestClient:
    """The service without a memory of earlier tests."""
    with closing(sqlite3.connect(app_settings.home_path / "verisql.db")) as store, store:
        for table in ("answers", "feedback", "verified_queries"):
            store.execute(f"DELETE FROM {table}")
    assert shared.portal
    shared.portal.call(shared.app.state.parts.feedback.known.refresh)  # type: ignore[attr-defined]
    return shared


def answered(app: TestClient, request_id: str = "r1", **fields: Any) -> str:
    """Let the service remember an answer; gives its request id."""
    values: dict[str, Any] = {
        "db_id": "shop", "database_sha256": "a" * 64, "question": ASKED, "evidence": "",
        "sql": RIGHT, "status": "ok", "model": "double", "prompt_sha256": "b" * 64,
    }  # fmt: skip
    answer = AnswerRecord(request_id, **values | fields)
    assert app.portal
    app.portal.call(app.app.state.parts.feedback.record, answer)  # type: ignore[attr-defined]
    return request_id


def give(app: TestClient, request_id: str, rating: str, **fields: Any) -> Any:
    return app.post("/feedback", json={"request_id": request_id, "rating": rating, **fields})


def found(app: TestClient, question: str = ASKED, evidence: str = "") -> VerifiedQuery | None:
    """What the generator would find."""
    parts = app.app.state.parts  # type: ignore[attr-defined]
    assert app.portal
    sha256 = app.portal.call(parts.registry.sha256_async, "shop")
    query = app.portal.call(parts.feedback.verified, "shop", sha256, question, evidence)
    assert query is None or isinstance(query, VerifiedQuery)
    return query


def live(app: TestClient) -> list[str]:
    return [query["sql"] for query in app.get("/verified-queries").json()["data"]]


def test_a_confirmed_answer_is_found_for_the_same_question_and_nearly_the_same(
    app: TestClient,
) -> None:
    reply = give(app, answered(app), "positive")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert set(body) == {"request_id", "feedback_id", "verified_query", "created_at"}
    query = body["verified_query"]
    assert (query["sql"], query["source"], query["verified_by"]) == (RIGHT, "confirmed", None)
    assert query["database_sha256"] == app.get("/databases/shop").json()["sha256"]
    assert "verisql_verified_queries 1.0" in app.get("/metrics").text
    for asked in (ASKED, "who lives in rome", "Tell me who lives in Rome, please"):
        match = found(app, asked)
        assert match is not None
        assert match.id == query["id"]
    for asked in ("Who lives in Paris?", "Who does not live in Rome?"):
        assert found(app, asked) is None
    assert found(app, ASKED, evidence="Rome is a city") is None


def test_a_correction_counts_whatever_the_rating(app: TestClient) -> None:
    wrong = "SELECT name FROM customer"
    answered(app, sql=wrong)
    query = give(app, "r1", "negative", sql=f" {RIGHT} ").json()["verified_query"]
    assert (query["sql"], query["source"]) == (RIGHT, "corrected")
    assert give(app, "r1", "positive", sql=OTHER).json()["verified_query"]["source"] == "corrected"
    assert live(app) == [OTHER]


def test_an_answer_without_sql_can_be_corrected_not_confirmed(app: TestClient) -> None:
    answered(app, sql=None, status="no_sql")
    message = check_error(give(app, "r1", "positive"), 422, "invalid_request", "sql")
    assert "no_sql" in message
    assert give(app, "r1", "negative").json()["verified_query"] is None
    assert give(app, "r1", "negative", sql=RIGHT).json()["verified_query"]["sql"] == RIGHT


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nme FROM customer", "no such column: nme"),
        ("SELEC name", "syntax error"),
        ("DELETE FROM customer", "forbidden"),
        ("SELECT 1; SELECT 2", "forbidden"),
        ("-- nothing", "incomplete input"),
        (ENDLESS, "timeout"),
    ],
)  # fmt: skip
def test_sql_that_does_not_run_is_refused_in_the_engines_words(
    app: TestClient, sql: str, said: str
) -> None:
    answered(app)
    assert said in check_error(give(app, "r1", "negative", sql=sql), 422, "sql_rejected", "sql")
    assert app.get("/feedback").json()["data"] == []
    assert found(app) is None


def test_a_broken_answer_cannot_be_confirmed(app: TestClient) -> None:
    answered(app, sql="SELECT nme FROM customer")
    check_error(give(app, "r1", "positive"), 422, "sql_rejected", "sql")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"request_id": "none", "rating": "positive"}, 404, "unknown_answer", "request_id"),
        ({"rating": "positive"}, 422, "invalid_request", "request_id"),
        ({"request_id": "r1"}, 422, "invalid_request", "rating"),
        ({"request_id": "r1", "rating": "POSITIVE"}, 422, "invalid_request", "rating"),
        ({"request_id": "x" * 65, "rating": "positive"}, 422, "invalid_request", "request_id"),
        ({"request_id": "r1", "rating": "negative", "sql": " "}, 422, "invalid_request", "sql"),
        ({"request_id": "r1", "rating": "negative", "sql": RIGHT}, 422, "invalid_request", "sql"),
        (
            {"request_id": "r1", "rating": "negative", "sql": "x" * 100_001},
            422, "invalid_request", "sql",
        ),
        (
            {"request_id": "r1", "rating": "negative", "comment": "x" * 4001},
            422, "invalid_request", "comment",
        ),
        ({"request_id": "r1", "rating": "negative", "note": ""}, 422, "invalid_request", "note"),
    ],
)  # fmt: skip
def test_bad_feedback_is_named(
    app: TestClient, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    answered(app)
    check_error(app.post("/feedback", json=body), status, code, param)


def test_the_same_feedback_again_changes_nothing(app: TestClient) -> None:
    answered(app)
    replies = [give(app, "r1", "positive", comment="good").json() for _ in range(3)]
    assert replies[0] == replies[1] == replies[2]
    assert len(app.get("/feedback").json()["data"]) == 1


def test_changed_feedback_replaces_the_first_and_history_is_kept(app: TestClient) -> None:
    answered(app)
    give(app, "r1", "positive")
    assert give(app, "r1", "negative", sql=OTHER).json()["verified_query"]["sql"] == OTHER
    assert live(app) == [OTHER]
    assert give(app, "r1", "negative").json()["verified_query"] is None
    assert live(app) == []
    assert found(app) is None
    history = app.get("/feedback").json()["data"]
    assert [(one["number"], one["rating"], one["sql"]) for one in history] == [
        (3, "negative", None), (2, "negative", OTHER), (1, "positive", None),
    ]  # fmt: skip


def test_a_negative_on_another_answer_with_the_same_sql_withdraws_too(app: TestClient) -> None:
    give(app, answered(app, "r1"), "positive")
    give(app, answered(app, "r2", question="who lives in rome"), "negative")
    assert live(app) == []


def test_a_negative_on_an_answer_that_was_the_verified_query_withdraws_it(app: TestClient) -> None:
    query = give(app, answered(app, "r1"), "positive").json()["verified_query"]
    answered(app, "r2", question="Tell me who lives in Rome", verified_query_id=query["id"])
    give(app, "r2", "negative")
    assert live(app) == []


def test_a_negative_on_other_sql_leaves_what_is_verified(app: TestClient) -> None:
    give(app, answered(app, "r1"), "positive")
    give(app, answered(app, "r2", sql=OTHER), "negative")
    give(app, answered(app, "r3", question="Who lives in Paris?"), "negative")
    assert live(app) == [RIGHT]


def test_one_question_has_one_verified_query(app: TestClient) -> None:
    give(app, answered(app, "r1"), "positive")
    give(app, answered(app, "r2", question="WHO LIVES IN ROME", sql=OTHER), "positive")
    assert live(app) == [OTHER]


def test_a_follow_up_question_gets_no_verified_query(app: TestClient) -> None:
    answered(app, question="And in Rome?", follow_up=True)
    assert give(app, "r1", "positive").json()["verified_query"] is None
    assert len(app.get("/feedback").json()["data"]) == 1


def test_a_request_id_used_again_means_the_later_answer(app: TestClient) -> None:
    give(app, answered(app), "positive")
    answered(app, question="Who lives in Paris?", sql="SELECT 'Ada'")
    assert give(app, "r1", "positive").json()["verified_query"]["sql"] == "SELECT 'Ada'"
    assert len(live(app)) == 2


def test_lists_have_pages_and_a_filter(app: TestClient) -> None:
    for n in range(3):
        give(app, answered(app, f"r{n}", question=f"Question {n}"), "positive")
    for path in ("/feedback", "/verified-queries"):
        first = app.get(path, params={"limit": 2}).json()
        rest = app.get(path, params={"limit": 2, "after": first["data"][-1]["id"]}).json()
        names = [item["request_id"] for item in first["data"] + rest["data"]]
        assert (names, first["has_more"], rest["has_more"]) == (["r2", "r1", "r0"], True, False)
        assert len(app.get(path, params={"db_id": "shop"}).json()["data"]) == 3
        assert app.get(path, params={"db_id": "bank"}).json()["data"] == []
        check_error(app.get(path, params={"limit": 0}), 422, "invalid_request", "limit")


def test_a_verified_query_can_be_deleted(app: TestClient) -> None:
    query = give(app, answered(app), "positive").json()["verified_query"]
    assert app.delete(f"/verified-queries/{query['id']}").status_code == 204
    assert found(app) is None
    check_error(app.delete(f"/verified-queries/{query['id']}"), 404, "unknown_verified_query", None)
    again = give(app, "r1", "positive").json()["verified_query"]
    assert again["id"] != query["id"]
    assert found(app) is not None


def test_the_export_is_read_as_training_data(app: TestClient, tmp_path: Path) -> None:
    assert app.get("/feedback/export").content == b""
    evidence = "Rome is a 'city'\nin \u2028 Italy"
    give(app, answered(app, evidence=evidence), "positive")
    give(app, answered(app, "r2", question="Who?\0"), "negative", sql=OTHER)
    exported = app.get("/feedback/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    (tmp_path / "rows.jsonl").write_bytes(exported.content)
    second, first = read_questions(tmp_path / "rows.jsonl")
    assert (first.db_id, first.question, first.evidence) == ("shop", ASKED, evidence)
    assert (first.gold_sql, second.gold_sql, first.difficulty) == (RIGHT, OTHER, "unrated")
    row = json.loads(exported.content.splitlines()[1])
    assert list(row) == (
        "question_id db_id question evidence SQL difficulty source verified_at".split()
    )
    assert row["source"] == "feedback"
    audit = app.post("/audit", json={"questions": [row]}).json()
    assert (audit["questions"], audit["kept"]) == (1, 1)
    assert app.get("/feedback/export", params={"db_id": "bank"}).content == b""


def test_a_changed_database_makes_a_query_stale_only_if_it_reads_something_else(
    settings: Settings,
) -> None:
    notes = 'SELECT "note" FROM orders'
    path = Path(settings.data_dir) / "shop" / "shop.sqlite"
    with TestClient(create_app(settings)) as app:
        give(app, answered(app), "positive")
        give(app, answered(app, "r2", question="Notes?", sql=notes), "positive")
        with closing(sqlite3.connect(path)) as connection:
            # "note" is a text to SQLite once there is no such column: it compiles all the same.
            connection.executescript("ALTER TABLE orders DROP COLUMN note; DELETE FROM customer;")
        assert found(app) is not None
        assert found(app, "Notes?") is None
        assert len(live(app)) == 2


def test_what_was_answered_200_outlives_a_restart(settings: Settings) -> None:
    with TestClient(create_app(settings)) as first:
        give(first, answered(first), "positive")
        answered(first, "r2", question="Who lives in Paris?")
    with TestClient(create_app(settings)) as second:
        assert found(second) is not None
        assert give(second, "r2", "negative").status_code == 200


def test_what_another_service_on_the_store_verifies_is_found_here(settings: Settings) -> None:
    with TestClient(create_app(settings)) as one, TestClient(create_app(settings)) as other:
        give(one, answered(one), "positive")
        assert one.portal
        known = other.app.state.parts.feedback.known  # type: ignore[attr-defined]
        assert other.portal
        other.portal.call(known.refresh)
        assert found(other) is not None


def test_without_remembered_answers_the_loop_is_off(settings: Settings) -> None:
    with TestClient(create_app(settings)) as on:
        give(on, answered(on), "positive")
    with TestClient(create_app(settings.model_copy(update={"keep_answers": 0}))) as off:
        answered(off)
        message = check_error(give(off, "r1", "positive"), 409, "feedback_off", None)
        assert "VERISQL_KEEP_ANSWERS" in message
        assert found(off) is None
        assert live(off) == [RIGHT]


def test_keys_are_told_apart_by_a_fingerprint(settings: Settings) -> None:
    keyed = settings.model_copy(update={"api_keys": "secret-one,secret-two"})
    with TestClient(create_app(keyed)) as app:
        answered(app)
        for key, rating in (("one", "positive"), ("two", "negative"), ("one", "positive")):
            app.headers["authorization"] = f"Bearer secret-{key}"
            assert give(app, "r1", rating).status_code == 200
        said = app.get("/feedback")
        names = [one["given_by"] for one in said.json()["data"]]
        assert names[0] == names[2] != names[1]
        assert len(names[0]) == 12
        assert "secret" not in said.text
        assert app.get("/verified-queries").json()["data"][0]["verified_by"] == names[0]


def test_the_correction_of_one_stays_when_another_finds_the_answer_wrong_too(
    settings: Settings,
) -> None:
    keyed = settings.model_copy(update={"api_keys": "one,two"})
    with TestClient(create_app(keyed), headers={"authorization": "Bearer one"}) as app:
        answered(app, sql="SELECT 1")
        give(app, "r1", "negative", sql=RIGHT)
        app.headers["authorization"] = "Bearer two"
        give(app, "r1", "negative")
        assert live(app) == [RIGHT]


def test_comments_come_back_as_they_were(app: TestClient) -> None:
    comment = "<script>alert(1)</script>'; DROP TABLE feedback; --"
    give(app, answered(app), "negative", comment=comment)
    assert app.get("/feedback").json()["data"][0]["comment"] == comment


KILLED = """
import os, signal, sys
from fastapi.testclient import TestClient
from service.app import create_app
from service.feedback.records import AnswerRecord
from service.settings import load_settings
settings = load_settings(home=sys.argv[1], data_dir=sys.argv[2], engine="off", workers=1)
with TestClient(create_app(settings)) as app:
    answer = AnswerRecord("r1", "shop", "", "Who?", "", "SELECT 1", "ok", "m", "")
    app.portal.call(app.app.state.parts.feedback.record, answer)
    reply = app.post("/feedback", json={"request_id": "r1", "rating": "positive"})
    print(reply.status_code, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_answered_200_outlives_a_kill(settings: Settings) -> None:
    command = [sys.executable, "-c", KILLED, str(settings.home), settings.data_dir]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("200\n", -signal.SIGKILL), done.stderr
    with TestClient(create_app(settings)) as app:
        assert found(app, "who?") is not None
