"""The engine client against a server that fails in every way a server can."""

import asyncio
import socket

import pytest

from service.engine.base import Completion, Completions, EngineModel, OnText, Sampling
from service.engine.client import EngineClient, Patience, patience
from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, TooLarge, VeriSQLError
from tests.fixtures_engine import EngineDouble

ASK = [{"role": "user", "content": "how many?"}]


MODEL = EngineModel("double")
TEN_S = patience(10.0)
SOME = Sampling(0.5, max_tokens=9, seed=3)


def complete(
    url: str,
    waits: Patience = TEN_S,
    sampling: Sampling = SOME,
    on_text: OnText | None = None,
    api_key: str | None = None,
) -> Completions:
    async def run() -> Completions:
        client = EngineClient(url, waits, api_key=api_key)
        try:
            return await client.complete(MODEL, ASK, sampling, on_text)
        finally:
            await client.close()

    return asyncio.run(run())


def failure(url: str, waits: Patience = TEN_S, on_text: OnText | None = None) -> VeriSQLError:
    with pytest.raises(VeriSQLError) as caught:
        complete(url, waits, on_text=on_text)
    return caught.value


def test_a_completion_comes_back_with_its_usage(engine_double: EngineDouble) -> None:
    engine_double.text = "SELECT 2 + 2"
    choices = (Completion("SELECT 2 + 2", 4, "stop"),)
    assert complete(engine_double.url) == Completions(choices, 7, 4, None, MODEL)


def test_the_request_is_the_one_of_openai(engine_double: EngineDouble) -> None:
    complete(engine_double.url, api_key="secret")
    assert engine_double.requests == [
        {"model": "double", "messages": ASK, "temperature": 0.5, "max_tokens": 9, "seed": 3}
    ]
    assert engine_double.headers[0]["authorization"] == "Bearer secret"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_address_may_end_in_v1_or_not(engine_double: EngineDouble, suffix: str) -> None:
    root = engine_double.url.removesuffix("/v1")
    assert complete(root + suffix).choices[0].text == "SELECT 1"


def test_a_null_text_is_an_empty_answer(engine_double: EngineDouble) -> None:
    engine_double.fault = (200, '{"choices": [{"message": {"content": null}}]}')
    assert complete(engine_double.url).choices == (Completion("", 0, "stop"),)


def test_a_refused_connection_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{closed.getsockname()[1]}")
    assert isinstance(error, EngineUnavailable)
    assert error.retry_after_s


@pytest.mark.parametrize("url", ["gpu:8001", "ftp://gpu", "http://", "http://no.such.host.invalid"])
def test_an_address_that_is_none_is_unavailable(url: str) -> None:
    assert isinstance(failure(url), EngineUnavailable)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, "boom", "answered 500: boom"),
        (503, '{"error": {"message": "overloaded"}}', "overloaded"),
        (429, '{"error": {"message": "too many"}}', "too many"),
        (401, "{}", "VERISQL_ENGINE_API_KEY"),
        (302, "", "answered 302"),
        (200, "<html>hello</html>", "not OpenAI-compatible"),
        (200, '{"choices": 7}', "not OpenAI-compatible"),
        (200, '{"choices": []}', "without a choice"),
        (200, "[]", "not OpenAI-compatible"),
        (200, "", "not OpenAI-compatible"),
    ],
)
def test_a_bad_answer_is_unavailable(
    engine_double: EngineDouble, status: int, body: str, words: str
) -> None:
    engine_double.fault = (status, body)
    error = failure(engine_double.url)
    assert isinstance(error, EngineUnavailable)
    assert words in error.message


@pytest.mark.parametrize("status", [400, 404, 422])
def test_what_the_server_will_never_do_is_not_to_be_tried_again(
    engine_double: EngineDouble, status: int
) -> None:
    engine_double.fault = (status, '{"error": {"message": "bad temperature"}}')
    error = failure(engine_double.url)
    assert isinstance(error, EngineRefused)
    assert "bad temperature" in error.message
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"message": "This model\'s maximum context length is 4096 tokens."}}',
        '{"object": "error", "message": "over the maximum context length"}',
        '{"error": {"code": "context_length_exceeded", "message": "context_length_exceeded"}}',
    ],
)
def test_a_prompt_over_the_context_is_too_large(engine_double: EngineDouble, body: str) -> None:
    engine_double.fault = (400, body)
    assert isinstance(failure(engine_double.url), TooLarge)


def test_a_server_that_never_answers_times_out(engine_double: EngineDouble) -> None:
    engine_double.hang = True
    error = failure(engine_double.url, patience(2))
    assert isinstance(error, EngineTimeout)
    assert "2 s" in error.message
    assert engine_double.gone.wait(60)


def test_cancelling_closes_the_connection(engine_double: EngineDouble) -> None:
    engine_double.hang = True

    async def run() -> None:
        client = EngineClient(engine_double.url, patience(60))
        call = asyncio.create_task(client.complete(MODEL, ASK, SOME))
        await asyncio.to_thread(engine_double.asked.wait, 5)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await asyncio.to_thread(engine_double.gone.wait, 60)
        await client.close()

    asyncio.run(run())


def test_models_are_listed(engine_double: EngineDouble) -> None:
    async def run() -> list[str]:
        client = EngineClient(engine_double.url, patience(10))
        try:
            return await client.models()
        finally:
            await client.close()

    engine_double.models = ["a", "b"]
    assert asyncio.run(run()) == ["a", "b"]
