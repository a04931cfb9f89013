"""A server that hangs is found out; one that is merely busy is left alone."""

import asyncio

import pytest

from service.engine.base import EngineModel, Sampling
from service.engine.client import EngineClient, patience
from service.engine.vigil import Vigil, Vigilance
from tests.fixtures_engine import EngineDouble

ASK = [{"role": "user", "content": "how many?"}]
MODEL = EngineModel("double")
DOUBTS_AT_ONCE = Vigilance(silence_s=0, idle_s=0, probe_s=0.1, strikes=2)
NEVER_DOUBTS = Vigilance(silence_s=600, idle_s=600, probe_s=0.1, strikes=2)


def looks(
    double: EngineDouble, limits: Vigilance, *, times: int = 2, healthy: bool = True
) -> list[bool]:
    async def run() -> list[bool]:
        client = EngineClient(double.url, patience(10))
        vigil = Vigil(client, MODEL, limits)
        try:
            return [await vigil.look(healthy=healthy) for _ in range(times)]
        finally:
            await client.close()

    return asyncio.run(run())


def test_an_answer_to_the_probe_is_a_sign_of_life(engine_double: EngineDouble) -> None:
    assert looks(engine_double, DOUBTS_AT_ONCE, times=3) == [True, True, True]
    assert [body["max_tokens"] for body in engine_double.requests] == [1, 1, 1]


def test_a_server_that_is_healthy_and_new_is_not_asked(engine_double: EngineDouble) -> None:
    assert looks(engine_double, NEVER_DOUBTS) == [True, True]
    assert not engine_double.requests


def test_a_server_that_says_it_is_ill_is_asked_at_once(engine_double: EngineDouble) -> None:
    assert looks(engine_double, NEVER_DOUBTS, healthy=False) == [True, True]
    assert len(engine_double.requests) == 2


@pytest.mark.parametrize("healthy", [True, False])
def test_a_hung_server_is_given_up_at_the_second_strike(
    engine_double: EngineDouble, healthy: bool
) -> None:
    engine_double.hang = True
    assert looks(engine_double, DOUBTS_AT_ONCE, healthy=healthy) == [True, False]


def test_a_server_that_answers_with_errors_is_given_up_too(engine_double: EngineDouble) -> None:
    engine_double.fault = (500, "EngineCore encountered an issue")
    assert looks(engine_double, DOUBTS_AT_ONCE) == [True, False]


def test_strikes_are_forgotten_once_it_answers(engine_double: EngineDouble) -> None:
    faults = iter([(500, ""), None, (500, ""), None])
    engine_double.fault_for = lambda body: next(faults)
    assert all(looks(engine_double, DOUBTS_AT_ONCE, times=4))


def test_a_busy_server_whose_own_counters_move_is_left_alone(engine_double: EngineDouble) -> None:
    engine_double.fault = None
    told = iter(range(99))

    def fault_for(body: object) -> tuple[int, str]:
        engine_double.metrics = f'vllm:generation_tokens_total{{engine="0"}} {next(told)}\n'
        return 500, "queue full"

    engine_double.fault_for = fault_for
    assert all(looks(engine_double, DOUBTS_AT_ONCE, times=4))


def test_counters_that_stand_still_do_not_save_it(engine_double: EngineDouble) -> None:
    engine_double.metrics = "vllm:generation_tokens_total 7\nvllm:num_requests_running 3\n"
    engine_double.hang = True
    assert looks(engine_double, DOUBTS_AT_ONCE) == [True, False]


def test_a_stream_that_moves_saves_a_server_that_keeps_the_probe_waiting(
    engine_double: EngineDouble,
) -> None:
    engine_double.text = "a b c"
    engine_double.fault_for = lambda body: None if body.get("stream") else (500, "")

    async def run() -> list[bool]:
        client = EngineClient(engine_double.url, patience(10))
        vigil = Vigil(client, MODEL, DOUBTS_AT_ONCE)
        seen = []
        for _ in range(4):
            await client.complete(MODEL, ASK, Sampling(), lambda index, text: None)
            seen.append(await vigil.look(healthy=False))
        await client.close()
        return seen

    assert asyncio.run(run()) == [True] * 4
    assert all(body.get("stream") for body in engine_double.requests)
