"""Attacks over HTTP: names that are paths, bodies that are too much, callers that hang up."""

import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.arena import GOLD, RIGHT, WRONG
from tests.attack_cases import TABLE, cases
from tests.attack_sql import conjunction, endless, parentheses
from tests.sandbox_watch import SandboxWatch

NAMES = [*TABLE["db_ids"], "a" * 500, "é" * 500]


@pytest.fixture
def watch(app_settings: Settings, client: TestClient) -> Iterator[SandboxWatch]:
    """The check that nothing is left, and that an honest request is answered."""
    assert client.get("/databases").status_code == 200
    _check_honest(client)
    data = app_settings.data_dirs[0]
    with SandboxWatch(data) as started:
        yield started
        _check_honest(client)


def _check_honest(client: TestClient) -> None:
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": [RIGHT, WRONG]}
    answer = client.post("/verify", json=body)
    assert [v["status"] for v in answer.json()["verdicts"]] == ["match", "mismatch"], answer.text


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_looked_up_and_never_made_into_a_path(client: TestClient, name: str) -> None:
    body = {"db_id": name, "gold_sql": GOLD, "predictions": [RIGHT]}
    answer = client.post("/verify", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_database")
    assert "root:" not in answer.text


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("name", ["", "a" * 501, "\ud800", None, 7, ["shop"], {"a": 1}])
def test_what_is_no_name_is_refused(client: TestClient, name: object) -> None:
    body = {"db_id": name, "gold_sql": GOLD, "predictions": [RIGHT]}
    answer = client.post(
        "/verify", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] in {"db_id", None}


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize(
    "name", ["..", "%2e%2e", "%2e%2e%2fshop", "..%2fshop", "%00", "%ff", "shop%00"]
)
def test_a_name_in_the_address_is_looked_up_too(client: TestClient, name: str) -> None:
    answer = client.get(f"/databases/{name}")
    assert answer.status_code in {404, 405, 422, 200}
    assert "Traceback" not in answer.text
    assert "root:" not in answer.text
    if answer.status_code == 200:  # `..` is taken out by the client itself
        assert set(answer.json()) == set(client.get("/databases").json())


@pytest.mark.usefixtures("watch")
def test_every_attack_in_one_body_is_answered(client: TestClient) -> None:
    themes = ("writes", "reads", "text")
    every = [c.sql for theme in themes for c in cases(theme) if c.sql and "\ud800" not in c.sql]
    sqls = [sql for sql in every if sql.isprintable() or "\0" in sql]
    for start in range(0, len(sqls), 50):
        body = {"db_id": "shop", "gold_sql": GOLD, "predictions": sqls[start : start + 50]}
        answer = client.post("/verify", json=body)
        verdicts = answer.json()["verdicts"]
        assert "match" not in {verdict["status"] for verdict in verdicts}
        assert {verdict["reward"] for verdict in verdicts} == {0.0}


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("place", ["gold_sql", "predictions"])
def test_a_megabyte_of_sql_is_too_large_and_not_a_failure(client: TestClient, place: str) -> None:
    long = "SELECT 1 --" + "x" * 1_000_000
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": [RIGHT]}
    answer = client.post("/verify", json=body | {place: [long]}).json()
    status = answer["verdicts"][0]["status"]
    assert status == ("gold_error" if place == "gold_sql" else "too_large")


@pytest.mark.usefixtures("watch")
def test_a_body_beyond_the_limit_is_refused_before_it_is_read(client: TestClient) -> None:
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": ["x" * 4_000_000]}
    answer = client.post("/verify", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.usefixtures("watch")
@pytest.mark.parametrize("extract", ["none", "auto", "sql_fence", "answer_tag", "solution_tag"])
def test_text_that_breaks_parsers_is_a_value_in_every_mode(
    client: TestClient, extract: str
) -> None:
    texts = [
        parentheses(50), parentheses(50_000), conjunction(20_000), "`" * 200_000,
        "```sql\n" * 20_000, "<answer>" * 20_000, "<think>" * 20_000, "</think>" * 20_000,
        "/*" * 100_000, "--" * 100_000, "'" * 200_001, "\n" * 300_000, "\u2028" * 50_000,
    ]  # fmt: skip
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": texts, "extract": extract}
    answer = client.post("/verify", json=body)
    assert answer.status_code == 200
    assert {verdict["reward"] for verdict in answer.json()["verdicts"]} == {0.0}


@pytest.mark.usefixtures("watch")
def test_a_short_limit_of_the_callers_own_is_kept(client: TestClient) -> None:
    body = {"db_id": "shop", "gold_sql": GOLD, "predictions": [endless(0), RIGHT], "timeout_s": 0.3}
    answer = client.post("/verify", json=body).json()
    assert [verdict["status"] for verdict in answer["verdicts"]] == ["timeout", "match"]


@pytest.mark.usefixtures("watch")
def test_half_a_surrogate_pair_is_refused_and_a_nul_is_a_verdict(client: TestClient) -> None:
    raw = '{"db_id": "shop", "gold_sql": "SELECT 1", "predictions": ["SELECT \'%s\'"]}'
    headers = {"Content-Type": "application/json"}
    half = client.post("/verify", content=raw % "\\ud800", headers=headers)
    assert half.status_code in {200, 422}
    if half.status_code == 200:
        assert half.json()["verdicts"][0]["reward"] == 0.0
    nul = client.post("/verify", content=raw % "\\u0000", headers=headers)
    assert nul.json()["verdicts"][0]["status"] == "syntax_error"
