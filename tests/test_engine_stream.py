"""Streams of the engine client: pieces as they come, and every way in which a stream can end."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from service.engine.base import Completions, EngineModel, Sampling
from service.engine.client import EngineClient, Patience, patience
from service.errors import EngineTimeout, EngineUnavailable, TooLarge, VeriSQLError
from tests.fixtures_engine import EngineDouble

ASK = [{"role": "user", "content": "how many?"}]
MODEL = EngineModel("double")
TEN_S = patience(10.0)
THREE = Sampling(0.7, max_tokens=9, seed=3, n=3, logprobs=True)
SHORT = Sampling(max_tokens=9)


class Heard:
    """The pieces that were handed over."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, str]] = []

    def __call__(self, index: int, text: str) -> None:
        self.pieces.append((index, text))


def ask(
    double: EngineDouble,
    sampling: Sampling = SHORT,
    heard: Heard | None = None,
    waits: Patience = TEN_S,
) -> Completions:
    async def run() -> Completions:
        client = EngineClient(double.url, waits)
        try:
            return await client.complete(MODEL, ASK, sampling, heard)
        finally:
            await client.close()

    return asyncio.run(run())


def failure(double: EngineDouble, heard: Heard, waits: Patience = TEN_S) -> VeriSQLError:
    with pytest.raises(VeriSQLError) as caught:
        ask(double, SHORT, heard, waits)
    return caught.value


def test_a_stream_says_the_same_as_a_whole_answer(engine_double: EngineDouble) -> None:
    engine_double.text = ["SELECT 1", "SELECT a, b FROM t", "no idea"]
    engine_double.logprob = lambda text: -len(text) / 10
    engine_double.cached_tokens = 5
    heard = Heard()
    streamed = ask(engine_double, THREE, heard)
    assert streamed == ask(engine_double, THREE)
    assert [c.text for c in streamed.choices] == engine_double.text
    assert [c.completion_tokens for c in streamed.choices] == [2, 5, 2]
    assert [c.mean_logprob for c in streamed.choices] == pytest.approx([-0.8, -1.8, -0.7])
    assert (streamed.prompt_tokens, streamed.completion_tokens) == (7, 9)
    assert streamed.cached_tokens == 5


def test_pieces_come_in_the_order_of_their_making(engine_double: EngineDouble) -> None:
    engine_double.text = ["SELECT 1", "no"]
    heard = Heard()
    ask(engine_double, Sampling(n=2), heard)
    assert heard.pieces == [(0, "SELECT"), (1, "no"), (0, " 1")]


def test_the_text_may_depend_on_the_request_and_the_choice(engine_double: EngineDouble) -> None:
    engine_double.text = lambda body, index: f"{body['messages'][0]['content']} {index}"
    answers = ask(engine_double, Sampling(n=2))
    assert [c.text for c in answers.choices] == ["how many? 0", "how many? 1"]


def test_only_what_differs_from_the_usual_is_asked_for(engine_double: EngineDouble) -> None:
    ask(engine_double, THREE, Heard())
    ask(engine_double, SHORT)
    usual: dict[str, Any] = {"model": "double", "messages": ASK, "max_tokens": 9}
    assert engine_double.requests == [
        usual
        | {"temperature": 0.7, "seed": 3, "n": 3, "logprobs": True}
        | {"stream": True, "stream_options": {"include_usage": True}},
        usual | {"temperature": 0.0},
    ]


def test_an_adapter_is_asked_for_by_its_name(engine_double: EngineDouble) -> None:
    async def run() -> Completions:
        client = EngineClient(engine_double.url, TEN_S)
        try:
            return await client.complete(EngineModel("base", "r1", "mine"), ASK, SHORT)
        finally:
            await client.close()

    assert asyncio.run(run()).model == EngineModel("base", "r1", "mine")
    assert engine_double.requests[0]["model"] == "mine"


def test_without_logprobs_tokens_are_shared_out_by_length(engine_double: EngineDouble) -> None:
    engine_double.text = ["SELECT 1", "SELECT 1 + 1 + 1"]
    answers = ask(engine_double, Sampling(n=2))
    tokens = [choice.completion_tokens for choice in answers.choices]
    assert sum(tokens) == answers.completion_tokens == 8
    assert tokens[0] < tokens[1]
    assert answers.choices[0].mean_logprob is None


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_choices_than_asked_for_are_a_failure(engine_double: EngineDouble, n: int) -> None:
    given = '{"choices": [{"index": 0, "message": {"content": "SELECT 1"}}]}'
    engine_double.fault = (200, given if n > 1 else '{"choices": []}')
    with pytest.raises(EngineUnavailable, match="fewer than the 2" if n > 1 else "without a"):
        ask(engine_double, Sampling(n=n))


def test_a_choice_that_was_not_asked_for_is_a_failure(engine_double: EngineDouble) -> None:
    engine_double.fault = (200, '{"choices": [{"index": 4, "message": {"content": "x"}}]}')
    with pytest.raises(EngineUnavailable, match="a choice 4 of 1"):
        ask(engine_double)


def test_a_stream_that_breaks_off_is_no_answer(engine_double: EngineDouble) -> None:
    engine_double.break_after = 1
    heard = Heard()
    assert isinstance(failure(engine_double, heard), EngineUnavailable)
    assert heard.pieces == [(0, "SELECT")]


def test_a_stream_that_ends_politely_but_early_is_no_answer(engine_double: EngineDouble) -> None:
    engine_double.error_after, engine_double.stream_error = 1, "[DONE]"
    error = failure(engine_double, Heard())
    assert isinstance(error, EngineUnavailable)
    assert "broke off" in error.message


@pytest.mark.parametrize(
    ("event", "kind", "words"),
    [
        (None, EngineUnavailable, "answered 500: EngineCore encountered an issue"),
        ('{"error": "overloaded"}', EngineUnavailable, "overloaded"),
        (
            '{"error": {"code": 400, "message": "maximum context length is 9"}}',
            TooLarge,
            "context length",
        ),
        ("{", EngineUnavailable, "not OpenAI-compatible"),
        ('{"choices": 7}', EngineUnavailable, "not OpenAI-compatible"),
    ],
)
def test_an_error_in_the_stream_is_told(
    engine_double: EngineDouble, event: str | None, kind: type[VeriSQLError], words: str
) -> None:
    engine_double.error_after = 1
    engine_double.stream_error = event or engine_double.stream_error
    error = failure(engine_double, Heard())
    assert isinstance(error, kind)
    assert words in error.message


def test_a_refusal_of_a_stream_is_told(engine_double: EngineDouble) -> None:
    engine_double.fault = (400, '{"error": {"message": "maximum context length is 9"}}')
    assert isinstance(failure(engine_double, Heard()), TooLarge)


LONG = patience(60)


@pytest.mark.parametrize(
    ("after", "waits", "words"),
    [
        (0, replace(LONG, first_s=2), "no first piece within 2 s"),
        (1, replace(LONG, between_s=1), "stopped for 1 s"),
        (1, replace(LONG, whole_s=3), "did not answer within 3 s"),
    ],
)
def test_a_stream_that_stalls_is_given_up_and_closed(
    engine_double: EngineDouble, after: int, waits: Patience, words: str
) -> None:
    if after:
        engine_double.hang_after = after
    else:
        engine_double.hang = True
    error = failure(engine_double, Heard(), waits)
    assert isinstance(error, EngineTimeout)
    assert words in error.message
    assert engine_double.gone.wait(60)


def test_cancelling_in_the_middle_closes_the_connection(engine_double: EngineDouble) -> None:
    engine_double.hang_after = 1

    async def run() -> None:
        client = EngineClient(engine_double.url, LONG)
        began = asyncio.Event()
        call = asyncio.create_task(
            client.complete(MODEL, ASK, SHORT, lambda index, text: began.set())
        )
        await asyncio.wait_for(began.wait(), 60)
        assert client.outstanding == 1
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(engine_double.gone.wait, 60)
        assert client.outstanding == 0
        await client.close()

    asyncio.run(run())


def test_a_listener_that_fails_ends_the_stream(engine_double: EngineDouble) -> None:
    def listen(index: int, text: str) -> None:
        raise LookupError(text)

    async def run() -> None:
        client = EngineClient(engine_double.url, TEN_S)
        with pytest.raises(LookupError):
            await client.complete(MODEL, ASK, SHORT, listen)
        assert client.outstanding == 0
        await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("heard", [None, Heard()])
def test_a_connection_is_used_again(engine_double: EngineDouble, heard: Heard | None) -> None:
    async def run() -> None:
        client = EngineClient(engine_double.url, TEN_S)
        for _ in range(3):
            await client.complete(MODEL, ASK, SHORT, heard)
        await client.close()

    asyncio.run(run())
    assert engine_double.connections == 1


def test_half_a_character_does_no_harm(engine_double: EngineDouble) -> None:
    async def run() -> Completions:
        client = EngineClient(engine_double.url, TEN_S)
        try:
            return await client.complete(MODEL, [{"role": "user", "content": "a\ud800b"}], SHORT)
        finally:
            await client.close()

    assert asyncio.run(run()).choices[0].text == "SELECT 1"
    assert engine_double.requests[0]["messages"][0]["content"] == "a?b"
