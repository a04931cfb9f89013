"""POST /audit: inline rows and datasets by name, three formats, bounds, and errors of one body."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import load_settings
from tests.conftest import SHOP
from tests.test_api_errors import check_error
from tests.test_serve import Service

GOOD = {
    "db_id": "shop",
    "question": "How many?",
    "SQL": "SELECT count(*) FROM customer",
    "own": [1],
}
BAD = {"db_id": "shop", "question": "<script>", "SQL": "SELECT who FROM customer", "question_id": 7}
ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def client(root: Path) -> Iterator[TestClient]:
    path = root / "data" / "shop" / "shop.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    (root / "data" / "dev.json").write_text(json.dumps([GOOD, BAD]))
    (root / "data" / "text.json").write_text("nothing")
    (root / "secret.json").write_text(json.dumps([GOOD]))
    settings = load_settings(
        home=root / "home",
        data_dir=str(root / "data"),
        engine="off",
        workers=2,
        gold_timeout_s=1.0,
        max_audit_questions=50,
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as started:
        yield started


def test_rows_are_audited_and_the_fit_ones_come_back(client: TestClient) -> None:
    body = {"questions": [BAD, GOOD, GOOD | {"question": "how MANY"}]}
    answer = client.post("/audit", json=body)
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert [(f["kind"], f["question_id"], f["others"]) for f in report["findings"]] == [
        ("broken", "7", []),
        ("duplicate_question", "2", ["1"]),
    ]
    assert report["cleaned"] == ["1"]
    assert report["cleaned_questions"] == [GOOD]
    assert report["findings"][0]["evidence"] == "no such column: who"


def test_a_dataset_is_audited_by_name_and_against_another(client: TestClient) -> None:
    report = client.post("/audit", json={"dataset": "dev.json", "against": "dev.json"}).json()
    assert (report["dataset"], report["against"]) == ("dev.json", ["dev.json"])
    found = [(s["kind"], s["question_ids"]) for s in report["summary"]]
    assert found == [
        ("broken", ["7"]),
        ("leaked_database", ["0", "7"]),
        ("leaked_question", ["0", "7"]),
    ]
    assert (report["cleaned"], report["cleaned_questions"]) == ([], None)


def test_what_drops_a_question_and_what_is_slow_can_be_said(client: TestClient) -> None:
    body = {"questions": [GOOD, BAD], "slow_s": 0, "drop": ["slow"], "against": [BAD]}
    report = client.post("/audit", json=body).json()
    assert [w["kinds"] for w in report["why"]] == [["slow"]]
    assert report["rules"] == {
        "slow_s": 0.0,
        "gold_timeout_s": 1.0,
        "time_limit_s": 1800.0,
        "drop": ["slow"],
    }
    assert report["cleaned"] == ["7"]


@pytest.mark.parametrize(
    ("form", "kind", "part"),
    [
        ("markdown", "text/markdown", "| `broken` | 1 | yes |"),
        ("html", "text/html", '<th scope="row" class="kind">broken</th>'),
    ],
)
def test_the_report_comes_as_a_page_too(
    client: TestClient, form: str, kind: str, part: str
) -> None:
    answer = client.post("/audit", json={"dataset": "dev.json", "format": form})
    assert answer.headers["content-type"].startswith(kind)
    assert part in answer.text
    assert "<script>," not in answer.text.replace('<script>"use strict"', "")


BAD_BODIES: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({}, 422, "invalid_request", None),
    ({"dataset": "dev.json", "questions": [GOOD]}, 422, "invalid_request", None),
    ({"dataset": "../secret.json"}, 422, "unknown_dataset", "dataset"),
    ({"dataset": "/etc/passwd"}, 422, "unknown_dataset", "dataset"),
    ({"dataset": "shop"}, 422, "unknown_dataset", "dataset"),
    ({"dataset": "text.json"}, 422, "invalid_request", "dataset"),
    ({"dataset": ""}, 422, "invalid_request", "dataset"),
    ({"questions": []}, 422, "invalid_request", "questions"),
    ({"questions": [{"db_id": "shop"}]}, 422, "invalid_request", "questions"),
    ({"questions": [7]}, 422, "invalid_request", "questions.0"),
    ({"questions": [GOOD] * 51}, 413, "too_large", "questions"),
    ({"dataset": "demo", "against": [GOOD] * 51}, 413, "too_large", "against"),
    ({"dataset": "demo", "against": "none.json"}, 422, "unknown_dataset", "against"),
    ({"dataset": "demo", "slow_s": -1}, 422, "invalid_request", "slow_s"),
    ({"dataset": "demo", "drop": ["brokn"]}, 422, "invalid_request", "drop"),
    ({"dataset": "demo", "format": "pdf"}, 422, "invalid_request", "format"),
    ({"dataset": "demo", "aginst": "x"}, 422, "invalid_request", "aginst"),
]


@pytest.mark.parametrize(("body", "status", "code", "param"), BAD_BODIES)
def test_a_bad_audit_request_is_named(
    client: TestClient, body: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    check_error(client.post("/audit", json=body), status, code, param)


@pytest.fixture(scope="module")
def hurried(root: Path, client: TestClient) -> Iterator[TestClient]:
    """As `client`, with one worker, and golds that may take longer than the whole audit."""
    settings = load_settings(
        home=root / "hurried",
        data_dir=str(root / "data"),
        engine="off",
        workers=1,
        gold_timeout_s=3600.0,
        audit_timeout_s=3.0,
    )
    with TestClient(create_app(settings), raise_server_exceptions=False) as started:
        yield started


def test_what_an_audit_does_not_reach_is_said_and_is_not_among_the_fit(hurried: TestClient) -> None:
    endless = {"db_id": "shop", "question": "For ever?", "SQL": ENDLESS}
    absent = GOOD | {"db_id": "absent"}
    later = GOOD | {"question": "How many, later?"} | {"SQL": "SELECT count(name) FROM customer"}
    rows = [GOOD, absent, endless, later, {}]
    answer = hurried.post("/audit", json={"questions": rows})
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert [(f["kind"], f["row"]) for f in report["findings"]] == [
        ("unknown_database", 1),
        ("not_reached", 2),
        ("not_reached", 3),
        ("malformed", 4),
    ]
    assert report["cleaned"] == ["0"]
    assert report["rules"]["time_limit_s"] == 3.0
    again = hurried.post("/audit", json={"questions": [later]}).json()
    assert (again["findings"], again["kept"]) == ([], 1)


def test_an_audit_ends_with_its_caller(tmp_path: Path) -> None:
    service = Service(tmp_path / "home", VERISQL_WORKERS="1", VERISQL_GOLD_TIMEOUT_S="3600")
    try:
        gold = {"db_id": "alpine_retail", "question": "?", "SQL": ENDLESS}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{service.url}/audit", json={"questions": [gold]}, timeout=1)
        good = gold | {"SQL": "SELECT count(*) FROM store"}
        answer = httpx.post(f"{service.url}/audit", json={"questions": [good]}, timeout=60)
        assert answer.json()["kept"] == 1
    finally:
        service.kill()
