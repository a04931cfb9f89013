"""A caller that hangs up: its work ends, and the next caller is served."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from service.api.hangup import while_connected
from service.errors import Unavailable
from tests.fixtures_engine import EngineDouble
from tests.test_serve import Service

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
GOLD = "SELECT count(*) FROM store"
LONG_S = 3600  # no test ends by this running out


def _request(hangs_up: asyncio.Event) -> Request:
    async def receive() -> Message:
        await hangs_up.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http"}, receive)


def test_the_result_of_work_and_its_error_come_through() -> None:
    async def work(fails: bool) -> int:
        if fails:
            raise ValueError("no")
        return 7

    async def main() -> None:
        request = _request(asyncio.Event())
        assert await while_connected(request, work(False)) == 7
        with pytest.raises(ValueError, match="no"):
            await while_connected(request, work(True))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_work_is_cancelled_when_the_caller_hangs_up_or_the_service_stops() -> None:
    async def main(by_caller: bool) -> list[str]:
        begun, hangs_up, ended = asyncio.Event(), asyncio.Event(), []

        async def work() -> None:
            begun.set()
            try:
                await asyncio.sleep(LONG_S)
            finally:
                ended.append("work")

        task = asyncio.create_task(while_connected(_request(hangs_up), work()))
        await begun.wait()
        if by_caller:
            hangs_up.set()
        else:
            task.cancel()
        with pytest.raises(ClientDisconnect if by_caller else Unavailable):
            await task
        return ended

    assert asyncio.run(main(True)) == asyncio.run(main(False)) == ["work"]


@pytest.fixture(scope="module")
def double() -> Iterator[EngineDouble]:
    with EngineDouble() as started:
        yield started


@pytest.fixture(scope="module")
def service(double: EngineDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One SQL worker, and time limits that no test waits for."""
    started = Service(
        tmp_path_factory.mktemp("hangup") / "home",
        VERISQL_ENGINE="url",
        VERISQL_ENGINE_URL=double.url,
        VERISQL_WORKERS="1",
        VERISQL_QUERY_TIMEOUT_S=str(LONG_S),
        VERISQL_GENERATE_TIMEOUT_S=str(LONG_S),
        VERISQL_QUEUE_TIMEOUT_S=str(LONG_S),
    )
    started.wait_until_ready()
    yield started
    started.kill()


def _give_up_on(url: str, body: dict[str, object]) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=body, timeout=5)


def test_a_query_ends_with_its_caller(service: Service) -> None:
    body = {"db_id": "alpine_retail", "gold_sql": GOLD}
    _give_up_on(f"{service.url}/verify", body | {"predictions": [ENDLESS] * 8})
    answer = httpx.post(f"{service.url}/verify", json=body | {"predictions": [GOLD]}, timeout=60)
    assert answer.json()["verdicts"][0]["status"] == "match"
    counted = httpx.get(f"{service.url}/metrics").text
    assert 'verisql_requests_total{method="POST",path="/verify",status="499"} 1.0' in counted


def test_a_completion_ends_with_its_caller(service: Service, double: EngineDouble) -> None:
    double.hang = True
    _give_up_on(
        f"{service.url}/generate", {"question": "How many stores?", "db_id": "alpine_retail"}
    )
    assert double.gone.wait(60)
    double.hang = False
    body = {"question": "How many stores?", "db_id": "alpine_retail"}
    assert httpx.post(f"{service.url}/generate", json=body, timeout=60).json()["sql"] == "SELECT 1"


def test_a_stream_ends_with_its_caller(service: Service, double: EngineDouble) -> None:
    double.hang = True
    double.gone.clear()
    body = {"question": "How many stores?", "db_id": "alpine_retail", "stream": True}
    _give_up_on(f"{service.url}/generate", body)
    assert double.gone.wait(60)
    double.hang = False
    answer = httpx.post(f"{service.url}/generate", json=body, timeout=60).text
    assert "event: done" in answer
