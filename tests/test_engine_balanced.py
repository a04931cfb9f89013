"""Several model servers: who gets a request, who takes over, and how a fallen one comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest

from service.engine.balanced import BalancedEngine
from service.engine.base import Sampling
from service.engine.make import make_engine
from service.errors import EngineUnavailable, SettingsError, TooLarge, VeriSQLError
from service.settings import load_settings
from tests.fixtures_engine import EngineDouble

ASK = [{"role": "user", "content": "how many?"}]
ONE = Sampling(max_tokens=9)
DOWN = (503, '{"error": {"message": "down"}}')

T = TypeVar("T")
Work = Callable[[BalancedEngine], Awaitable[T]]


@pytest.fixture
def doubles() -> Iterator[list[EngineDouble]]:
    """Three servers that say which one they are."""
    with ExitStack() as stack:
        yield [stack.enter_context(EngineDouble(f"server {i}")) for i in range(3)]


@asynccontextmanager
async def balanced(doubles: list[EngineDouble], ready: int) -> AsyncIterator[BalancedEngine]:
    urls = ",".join(double.url for double in doubles)
    engine = make_engine(load_settings(engine_url=urls, model="double"), None, lambda line: None)
    assert isinstance(engine, BalancedEngine)
    await engine.start()
    try:
        await reach(engine, f"{ready} of {len(doubles)} servers ready")
        yield engine
    finally:
        await engine.close()


async def reach(engine: BalancedEngine, words: str) -> None:
    async with asyncio.timeout(30):
        while words not in engine.state.detail:
            await asyncio.sleep(0.01)


def run(doubles: list[EngineDouble], work: Work[T], ready: int = 3) -> T:
    async def inside() -> T:
        async with balanced(doubles, ready) as engine:
            for double in doubles:
                double.requests.clear()
            return await work(engine)

    return asyncio.run(inside())


async def said(engine: BalancedEngine, **given: Any) -> str:
    return (await engine.complete(ASK, ONE, **given)).choices[0].text


def test_requests_take_turns_while_all_are_idle(doubles: list[EngineDouble]) -> None:
    async def work(engine: BalancedEngine) -> list[str]:
        return [await said(engine) for _ in range(6)]

    assert sorted(run(doubles, work)) == sorted(2 * ["server 0", "server 1", "server 2"])


def test_a_request_goes_where_the_fewest_are_under_way(doubles: list[EngineDouble]) -> None:
    async def work(engine: BalancedEngine) -> list[str]:
        for double in doubles[:2]:
            double.hang = True
        held = [asyncio.create_task(engine.complete(ASK, ONE)) for _ in range(3)]
        for double in doubles[:2]:
            await asyncio.to_thread(double.asked.wait, 5)
        await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
        answers = [await said(engine) for _ in range(4)]
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        for double in doubles[:2]:
            assert await asyncio.to_thread(double.gone.wait, 5)
        return answers

    assert run(doubles, work) == 4 * ["server 2"]


@pytest.mark.parametrize("fault", [DOWN, (502, "bad gateway")])
def test_another_takes_over_where_one_is_down(
    doubles: list[EngineDouble], fault: tuple[int, str]
) -> None:
    async def work(engine: BalancedEngine) -> list[str]:
        doubles[0].fault = doubles[1].fault = fault
        answers = [await said(engine) for _ in range(4)]
        assert engine.state.status == "ready"
        assert doubles[0].url in engine.state.detail
        return answers

    assert run(doubles, work) == 4 * ["server 2"]
    assert len(doubles[2].requests) == 4


def test_a_fallen_server_comes_back_by_a_completion_of_its_own(doubles: list[EngineDouble]) -> None:
    async def work(engine: BalancedEngine) -> None:
        doubles[0].fault_for = lambda body: DOWN if body["messages"] == ASK else None
        assert {await said(engine) for _ in range(3)} == {"server 1", "server 2"}
        await reach(engine, "3 of 3")
        doubles[0].fault_for = lambda body: None
        assert "server 0" in {await said(engine) for _ in range(3)}

    run(doubles, work)
    probes = [body for body in doubles[0].requests if body["messages"] != ASK]
    assert len(probes) >= 2


def test_each_is_tried_once_and_the_last_failure_told(doubles: list[EngineDouble]) -> None:
    async def work(engine: BalancedEngine) -> VeriSQLError:
        for double in doubles:
            double.fault_for = lambda body: DOWN if body["messages"] == ASK else None
        with pytest.raises(EngineUnavailable) as caught:
            await said(engine)
        return caught.value

    error = run(doubles, work)
    assert error.retry_after_s
    assert [sum(b["messages"] == ASK for b in d.requests) for d in doubles] == [1, 1, 1]


@pytest.mark.parametrize(
    "fault", [(400, '{"error": {"message": "maximum context length is 9"}}'), (500, "boom")]
)
def test_what_is_wrong_with_the_request_is_not_tried_elsewhere(
    doubles: list[EngineDouble], fault: tuple[int, str]
) -> None:
    async def work(engine: BalancedEngine) -> None:
        for double in doubles:
            double.fault = fault
        with pytest.raises(TooLarge if fault[0] == 400 else EngineUnavailable):
            await said(engine)

    run(doubles, work)
    assert sum(b["messages"] == ASK for d in doubles for b in d.requests) == 1


def test_a_stream_that_breaks_before_its_first_piece_is_begun_elsewhere(
    doubles: list[EngineDouble],
) -> None:
    async def work(engine: BalancedEngine) -> list[str]:
        pieces: list[str] = []
        doubles[0].break_after = doubles[1].break_after = 0
        for _ in range(3):
            await said(engine, on_text=lambda index, text: pieces.append(text))
        return pieces

    assert run(doubles, work) == 3 * ["server", " 2"]


def test_a_stream_that_has_been_heard_is_not_begun_again(doubles: list[EngineDouble]) -> None:
    async def work(engine: BalancedEngine) -> list[str]:
        pieces: list[str] = []
        for double in doubles:
            double.break_after = 1
        with pytest.raises(EngineUnavailable):
            await said(engine, on_text=lambda index, text: pieces.append(text))
        return pieces

    assert run(doubles, work) == ["server"]


def test_a_server_with_another_model_gets_no_requests(doubles: list[EngineDouble]) -> None:
    doubles[1].models = ["other"]

    async def work(engine: BalancedEngine) -> None:
        await reach(engine, "other")
        assert engine.model
        assert {await said(engine) for _ in range(4)} <= (
            {"server 1"} if engine.model.name == "other" else {"server 0", "server 2"}
        )
        assert "serves " in engine.state.detail
        assert ", not " in engine.state.detail

    async def inside() -> None:
        async with balanced(doubles, ready=2) as engine:
            await work(engine)

    doubles[1].fault = DOWN
    asyncio.run(_after(doubles[1], inside))


async def _after(late: EngineDouble, work: Callable[[], Awaitable[None]]) -> None:
    """Let the others be first, so that theirs is the model."""
    asyncio.get_running_loop().call_later(0.5, setattr, late, "fault", None)
    await work()


def test_none_ready_is_said_with_every_reason(doubles: list[EngineDouble]) -> None:
    for double in doubles:
        double.fault = DOWN

    async def work(engine: BalancedEngine) -> VeriSQLError:
        await reach(engine, "answered 503")
        with pytest.raises(EngineUnavailable) as caught:
            await said(engine)
        return caught.value

    error = run(doubles, work, ready=0)
    assert error.retry_after_s
    assert "0 of 3 servers ready" in error.message


def test_an_address_given_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="twice"):
        load_settings(engine_url="http://a:1/v1, http://b:1,http://a:1")
