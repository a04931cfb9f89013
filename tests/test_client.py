"""VerifyClient against the real service, from threads, forked processes and behind proxies."""

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from service.client import Options, ServiceError, VerifyClient, rewards
from service.client.connection import is_loopback
from service.client.patience import Patience, backoff_s
from service.client.wire import encode
from tests.fixtures_reward import Act, RewardDouble, honest
from tests.test_hangup import ENDLESS, LONG_S
from tests.test_serve import ROOT, Service

GOLD = "SELECT count(*) FROM store"
WAIT_S = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers, small limits on requests, none on time that a test waits for."""
    started = Service(
        tmp_path_factory.mktemp("client") / "home",
        VERISQL_WORKERS="2",
        VERISQL_MAX_ITEMS="10",
        VERISQL_MAX_REQUEST_MB="1",
        VERISQL_QUERY_TIMEOUT_S=str(LONG_S),
    )
    started.wait_until_ready()
    yield started
    started.kill()


@pytest.fixture
def client(service: Service) -> Iterator[VerifyClient]:
    with VerifyClient(service.url, options=Options(first_pause_s=0.01)) as opened:
        yield opened


def _item(*predictions: str, **rest: Any) -> dict[str, Any]:
    return {"db_id": "alpine_retail", "gold_sql": GOLD, "predictions": list(predictions), **rest}


def test_a_report_has_a_verdict_for_each_prediction(client: VerifyClient) -> None:
    report = client.verify(**_item(GOLD, "SELECT 8", "DROP TABLE store"))
    assert [v["status"] for v in report["verdicts"]] == ["match", "mismatch", "forbidden"]
    assert rewards(report) == [1.0, 0.0, 0.0]
    assert report["gold"]["rows"] == 1


def test_a_refusal_has_the_code_the_status_and_the_field(client: VerifyClient) -> None:
    with pytest.raises(ServiceError) as caught:
        client.verify(**_item(GOLD) | {"db_id": "nowhere"})
    error = caught.value
    assert (error.code, error.status, error.param) == ("unknown_database", 404, "db_id")
    assert error.request_id


def test_bad_items_are_errors_in_their_places_and_the_others_are_judged(
    client: VerifyClient,
) -> None:
    items = [_item(GOLD), _item(GOLD, metric="x"), _item(GOLD) | {"db_id": "no"}, _item("SELECT 8")]
    found = client.verify_batch(items)
    codes = [one.get("error", {}).get("code") for one in found]
    assert codes == [None, "invalid_request", "unknown_database", None]
    assert [rewards(one, count=1) for one in found] == [[1.0], [None], [None], [0.0]]


def test_a_list_over_the_servers_limits_is_split(client: VerifyClient) -> None:
    padding = " " * 100_000  # 25 of them are over 1 MiB; and the server takes 10 items at once
    items = [_item(GOLD if n % 2 else f"SELECT {n}{padding}") for n in range(50)]
    found = client.verify_batch(items)
    assert [rewards(one) for one in found] == [[float(n % 2)] for n in range(50)]


def test_half_a_surrogate_pair_in_a_completion_is_judged(client: VerifyClient) -> None:
    report = client.verify(**_item("SELECT '\ud83d'", GOLD))
    assert rewards(report) == [0.0, 1.0]


def test_a_quick_item_does_not_wait_for_a_slow_one(client: VerifyClient) -> None:
    items = [_item(ENDLESS), _item(GOLD), _item("SELECT 8")]
    stream = client.verify_stream(items)
    assert sorted(next(stream)[0] for _ in range(2)) == [1, 2]
    stream.close()


def _idle(service: Service) -> bool:
    return "verisql_workers_busy 0.0" in httpx.get(f"{service.url}/metrics").text


def _becomes_idle(service: Service) -> bool:
    until = time.monotonic() + WAIT_S
    while not _idle(service):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("how", ["close", "break", "forget"])
def test_a_stream_that_is_left_frees_the_service(
    service: Service, client: VerifyClient, how: str
) -> None:
    stream = client.verify_stream([_item(ENDLESS), _item(GOLD), _item(ENDLESS, "SELECT 8")])
    for place, _ in stream:
        assert place == 1
        assert not _idle(service)
        if how != "close":
            break
        stream.close()
    del stream
    assert _becomes_idle(service)


def test_a_deadline_frees_the_service(service: Service, client: VerifyClient) -> None:
    with pytest.raises(ServiceError) as caught:
        client.verify(deadline_s=0.5, **_item(ENDLESS))
    assert caught.value.code == "deadline_exceeded"
    [good, late] = client.verify_batch([_item(GOLD), _item(ENDLESS)], deadline_s=5.0)
    assert (rewards(good), late["error"]["code"]) == ([1.0], "deadline_exceeded")
    assert _becomes_idle(service)


def test_threads_share_a_client(client: VerifyClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: client.verify(**_item(f"SELECT {n}")), range(6, 12)))
    assert [rewards(one) for one in found] == [[float(n == 9)] for n in range(6, 12)]


def test_a_closed_client_says_so_and_leaves_no_thread(service: Service) -> None:
    before = threading.active_count()
    client = VerifyClient(service.url)
    client.verify(**_item(GOLD))
    client.close()
    client.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        client.verify(**_item(GOLD))


def test_closing_ends_the_calls_of_other_threads() -> None:
    with RewardDouble(Act(lines=[], hang=True)) as double, ThreadPoolExecutor(1) as pool:
        client = VerifyClient(double.url)
        asked = pool.submit(client.verify, **_item(GOLD))
        assert double.hangs.wait(WAIT_S)
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            asked.result(WAIT_S)
        assert double.gone.wait(WAIT_S)


def _script(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_forked_process_may_go_on_with_the_client() -> None:
    code = """
import os, sys
from service.client import VerifyClient, rewards
client = VerifyClient({url!r})
item = dict(db_id="x", gold_sql="y", predictions=["z"])
assert rewards(client.verify(**item)) == [1.0]
child = os.fork()
assert rewards(client.verify(**item)) == [1.0]
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    with RewardDouble() as double:
        done = _script(code.format(url=double.url))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(double.requests) == 3


def test_an_asynchronous_client_outlives_the_event_loop_that_it_was_used_in() -> None:
    code = """
import asyncio
from service.client import AsyncVerifyClient
client = AsyncVerifyClient({url!r})
for _ in range(2):
    asyncio.run(client.verify(db_id="x", gold_sql="y", predictions=["z"]))
asyncio.run(client.aclose())
"""
    with RewardDouble() as double:
        done = _script(code.format(url=double.url))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(double.requests) == 2


def test_this_machine_is_not_asked_through_a_proxy_and_a_forgotten_client_is_silent() -> None:
    code = """
from service.client import VerifyClient
print(VerifyClient({url!r}).verify(db_id="x", gold_sql="y", predictions=["z"])["gold"]["status"])
"""
    nowhere = "http://127.0.0.1:9"
    with RewardDouble() as double:
        done = _script(code.format(url=double.url), HTTP_PROXY=nowhere, ALL_PROXY=nowhere)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_others_are_asked_through_the_proxy() -> None:
    code = """
from service.client import Options, ServiceError, VerifyClient
try:
    VerifyClient("http://reward.invalid", options=Options(tries=1)).verify(x=1)
except ServiceError as error:
    print(error.code)
"""
    with RewardDouble(Act(status=418, body=b"a proxy")) as double:
        done = _script(code, HTTP_PROXY=double.url)
    assert (done.stdout, done.stderr) == ("bad_answer\n", "")
    assert "http://reward.invalid/verify" in double.headers[0]


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.0.0.1:8000", True), ("http://127.9.9.9", True), ("http://[::1]:80/x", True),
     ("http://localhost:1", True), ("http://10.0.0.1", False), ("http://localhost.org", False)],
)  # fmt: skip
def test_loopback_is_known_by_its_address(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_loading_the_client_loads_no_server() -> None:
    done = _script("import sys, service.client; print(*sys.modules)")
    assert not {"fastapi", "starlette", "pydantic", "uvicorn"} & set(done.stdout.split())
    assert "httpx" in done.stdout.split()


def test_pauses_double_up_to_the_longest_and_half_of_each_is_chance() -> None:
    options = Options(first_pause_s=1, longest_pause_s=6)
    for failures, base in ((1, 1), (2, 2), (3, 4), (4, 6), (5000, 6)):
        pauses = {backoff_s(options, failures) for _ in range(50)}
        assert all(base / 2 <= pause <= base for pause in pauses)
        assert len(pauses) > 1


def test_a_success_in_between_starts_the_count_of_failures_anew() -> None:
    error = ServiceError("broken_connection", "")
    patience = Patience(Options(tries=3), until=1e9)
    for _ in range(5):
        assert patience.pause_s(error, 0) > 0
        assert patience.pause_s(error, 0) > 0
        patience.progress()
    patience.pause_s(error, 0)
    patience.pause_s(error, 0)
    with pytest.raises(ServiceError):
        patience.pause_s(error, 0)


def test_what_json_can_say_is_sent_as_it_is() -> None:
    assert encode({"a": ("é", 1.5)}) == '{"a":["é",1.5]}'.encode()
    assert encode({"a": "\ud800"}) == rb'{"a": "\ud800"}'


def test_the_double_speaks_http() -> None:
    """What the faults rest on: an ordinary client reads the double's streams too."""
    with RewardDouble(honest([_item("x")])) as double:
        connection = http.client.HTTPConnection(double.url.removeprefix("http://"))
        connection.request("POST", "/verify/batch", b'{"items": []}')
        assert b'"index": 0' in connection.getresponse().read()
        connection.close()
