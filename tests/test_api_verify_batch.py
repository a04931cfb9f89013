"""POST /verify/batch on the real app, and on a real server where callers come and go."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service.sandbox.pool import ASIDE
from tests.test_hangup import ENDLESS, LONG_S
from tests.test_serve import Service

GOLD = "SELECT name FROM customer WHERE city = 'Rome'"
JSON = {"content-type": "application/json"}
NDJSON = {"accept": "application/x-ndjson"}
WAIT_S = 20
_PLACES = 1 + ASIDE  # statements that one worker lets run at a time


def _item(*predictions: str, **rest: Any) -> dict[str, Any]:
    return {"db_id": "shop", "gold_sql": GOLD, "predictions": list(predictions), **rest}


def _ask(client: TestClient, *items: Any) -> list[dict[str, Any]]:
    answer = client.post("/verify/batch", json={"items": items})
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def _statuses(results: list[dict[str, Any]]) -> list[Any]:
    return [
        result["error"]["code"] if "error" in result else [v["status"] for v in result["verdicts"]]
        for result in results
    ]


GOOD_AND_BAD = {
    "match": (_item(GOLD), ["match"]),
    "a field too much": (_item(GOLD, metric="bird_ex"), "invalid_request"),
    "mismatch": (_item("SELECT 1", GOLD), ["mismatch", "match"]),
    "no object": (7, "invalid_request"),
    "null": (None, "invalid_request"),
    "nothing in it": ({}, "invalid_request"),
    "no predictions": (_item(), "invalid_request"),
    "too many predictions": (_item(*["SELECT 1"] * 51), "too_large"),
    "unknown database": (_item(GOLD) | {"db_id": "nowhere"}, "unknown_database"),
    "no path": (_item(GOLD) | {"db_id": "../shop"}, "unknown_database"),
    "a gold at fault": (_item(GOLD) | {"gold_sql": "SELECT x"}, ["gold_error"]),
    "a hostile prediction": (_item("DROP TABLE customer"), ["forbidden"]),
    "half a surrogate pair": (_item("SELECT '\ud800'"), ["syntax_error"]),
    "the same again": (_item(GOLD), ["match"]),
}


def test_each_item_has_its_own_result_in_its_place(client: TestClient) -> None:
    items = json.dumps({"items": [item for item, _ in GOOD_AND_BAD.values()]})
    answer = client.post("/verify/batch", content=items, headers=JSON)
    found = _statuses(answer.json()["results"])
    expected = [status for _, status in GOOD_AND_BAD.values()]
    # SQLite sees half a pair as text or as an error, but it is judged.
    surrogate = list(GOOD_AND_BAD).index("half a surrogate pair")
    assert found[surrogate] in (["mismatch"], ["exec_error"], ["syntax_error"])
    found[surrogate] = expected[surrogate]
    assert dict(zip(GOOD_AND_BAD, found, strict=True)) == dict(
        zip(GOOD_AND_BAD, expected, strict=True)
    )


def test_an_items_error_has_the_body_of_every_error(client: TestClient) -> None:
    [result] = _ask(client, _item(GOLD, timeout_s=-1))
    assert set(result) == {"error"}
    assert set(result["error"]) == {"code", "message", "param", "request_id"}
    assert result["error"]["param"] == "timeout_s"


def test_a_report_is_the_same_as_that_of_verify(client: TestClient) -> None:
    [batched] = _ask(client, _item(GOLD, "SELECT 1"))
    alone = client.post("/verify", json=_item(GOLD, "SELECT 1")).json()
    for report in (batched, alone):
        report["gold"].pop("elapsed_ms")
        for place in [report["gold"], *report["verdicts"]]:
            place.pop("cached")
    assert batched == alone


def test_many_items_come_back_in_order(client: TestClient) -> None:
    items = [_item(GOLD if n % 3 else f"SELECT {n}") for n in range(300)]
    found = [result["verdicts"][0]["reward"] for result in _ask(client, *items)]
    assert found == [float(bool(n % 3)) for n in range(300)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"items": []}', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'{"items": {}}', 422, "invalid_request"),
        (b'{"items": "x"}', 422, "invalid_request"),
        (b'{"items": [1], "item": 2}', 422, "invalid_request"),
        (b'{"items": [', 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"", 422, "invalid_request"),
        (b'{"items": [' + b"1," * 4096 + b"1]}", 413, "too_large"),
        (b'{"items": ["' + b"x" * 3 * 2**20 + b'"]}', 413, "too_large"),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("headers", [{}, NDJSON], ids=["json", "ndjson"])
def test_a_request_that_is_wrong_as_a_whole_is_refused(
    client: TestClient, body: bytes, status: int, code: str, headers: dict[str, str]
) -> None:
    answer = client.post("/verify/batch", content=body, headers=JSON | headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_lines_have_the_index_and_the_result_of_each_item(client: TestClient) -> None:
    items = [_item(GOLD), 7, _item("SELECT 1"), _item(GOLD) | {"db_id": "no"}]
    answer = client.post("/verify/batch", json={"items": items}, headers=NDJSON)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.content.endswith(b"\n")
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert [next(iter(line)) for line in lines] == ["index"] * 4
    results = sorted(lines, key=lambda line: line["index"])
    assert [line.pop("index") for line in results] == [0, 1, 2, 3]
    assert _statuses(results) == [["match"], "invalid_request", ["mismatch"], "unknown_database"]


def test_verdicts_that_are_known_are_not_found_anew(client: TestClient) -> None:
    sql = "SELECT name FROM customer WHERE city = 'Rome' AND 'known' = 'known'"
    asked = [_ask(client, _item(sql, "SELECT 'known'")) for _ in range(2)]
    assert [[v["cached"] for v in one[0]["verdicts"]] for one in asked] == [[False] * 2, [True] * 2]
    assert _statuses(asked[0]) == _statuses(asked[1]) == [["match", "mismatch"]]
    other = _item(sql) | {"gold_sql": "SELECT name FROM customer"}  # nothing is known for that gold
    assert not _ask(client, other)[0]["verdicts"][0]["cached"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("batch") / "data"


@pytest.fixture(scope="module")
def service(data: Path) -> Iterator[Service]:
    """One worker, no room in the queue, short waits for a worker, endless statements."""
    for db_id in ("shop", "changing"):
        _write(data / db_id / f"{db_id}.sqlite", "Bob", "Dan")
    started = Service(
        data.parent / "home",
        VERISQL_DATA_DIR=str(data),
        VERISQL_WORKERS="1",
        VERISQL_MAX_QUEUED="1",
        VERISQL_QUEUE_TIMEOUT_S="3",
        VERISQL_QUERY_TIMEOUT_S=str(LONG_S),
    )
    started.wait_until_ready()
    yield started
    started.kill()


def _write(path: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("CREATE TABLE customer (name TEXT, city TEXT)")
        rows = [(name, "Rome") for name in names]
        connection.executemany("INSERT INTO customer VALUES (?, ?)", rows)
        connection.commit()
    new.replace(path)


def _post(service: Service, *items: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{service.url}/verify/batch", json={"items": items}, timeout=60)
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def _busy(service: Service, least: int, most: int = 99) -> bool:
    """True once so many workers have a task."""
    until = time.monotonic() + WAIT_S
    name = "verisql_workers_busy "
    while True:
        lines = httpx.get(f"{service.url}/metrics").text.splitlines()
        [count] = [float(line[len(name) :]) for line in lines if line.startswith(name)]
        if least <= count <= most:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _begin(service: Service, items: list[Any], accept: str) -> socket.socket:
    """A connection that has asked and reads nothing."""
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=WAIT_S)
    body = json.dumps({"items": items}).encode()
    kind = f"Content-Type: application/json\r\nAccept: {accept}"
    head = f"POST /verify/batch HTTP/1.1\r\nHost: x\r\n{kind}\r\n"
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_a_caller_that_goes_away_frees_its_work(service: Service, accept: str) -> None:
    with _begin(service, [_item(f"{ENDLESS} -- {n}") for n in range(4)], accept):
        assert _busy(service, 1)
    assert _busy(service, 0, 0)
    assert _statuses(_post(service, _item(GOLD))) == [["match"]]


def test_a_quick_item_behind_a_slow_one_comes_first(service: Service) -> None:
    """The endless one steps aside, so that the only worker's place is free for the next."""
    items = [_item(ENDLESS), _item(GOLD), 7]
    with (
        _begin(service, items, "application/x-ndjson") as connection,
        connection.makefile("rb") as lines,
    ):
        results = (json.loads(line) for line in lines if line.startswith(b'{"index"'))
        found = [next(results) for _ in range(2)]
    assert [one.pop("index") for one in found] == [2, 1]
    assert _statuses(found) == ["invalid_request", ["match"]]
    assert _busy(service, 0, 0)


def test_without_a_free_worker_and_room_to_wait_each_item_says_so(service: Service) -> None:
    with ExitStack() as open_ones:
        for n in range(_PLACES):
            open_ones.enter_context(_begin(service, [_item(f"{ENDLESS} -- {n}")], "*/*"))
            assert _busy(service, n + 1)
        found = _statuses(_post(service, *[_item(GOLD, f"SELECT {n}") for n in range(6)]))
    assert found == ["no_free_worker"] * 6
    assert _busy(service, 0, 0)
    assert _statuses(_post(service, _item(GOLD))) == [["match"]]


def test_a_database_that_changes_between_two_requests_is_judged_anew(
    service: Service, data: Path
) -> None:
    item = _item("SELECT 'Bob' UNION SELECT 'Dan'") | {"db_id": "changing"}
    found = [_post(service, item)[0] for _ in range(2)]
    assert [one["verdicts"][0]["cached"] for one in found] == [False, True]
    _write(data / "changing" / "changing.sqlite", "Bob", "Eve", "Zoe")
    new = _post(service, item)[0]
    assert _statuses([*found, new]) == [["match"], ["match"], ["mismatch"]]
    assert not new["verdicts"][0]["cached"]
    assert new["database_sha256"] != found[0]["database_sha256"]
