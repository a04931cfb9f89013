"""Streams of POST /v1/chat/completions, read by OpenAI's own client."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.fixtures_engine import EngineDouble
from tests.fixtures_openai import KEY, ROME, ROME_SQL, SHOP_MODEL
from tests.test_openai_chat import ASK
from tests.test_serve import Service


def _stream(client: OpenAI, **more: Any) -> list[Any]:
    with client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, stream=True, **more
    ) as stream:
        return list(stream)


def _texts(chunks: list[Any], index: int = 0) -> list[str]:
    """The pieces of content of one choice."""
    choices = (choice for chunk in chunks for choice in chunk.choices if choice.index == index)
    return [choice.delta.content for choice in choices if choice.delta.content]


def test_the_models_words_stream_as_they_come(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text = f"Sure.\n{ROME}"
    chunks = _stream(chat_client)
    assert len(_texts(chunks)) > 5
    assert "".join(_texts(chunks)) == says.text
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {(c.id, c.model, c.object) for c in chunks} == {
        (chunks[0].id, SHOP_MODEL, "chat.completion.chunk")
    }
    assert chunks[-1].verisql["sql"] == ROME_SQL
    assert chunks[0].id == f"chatcmpl-{chunks[-1].verisql['request_id']}"


def test_pieces_arrive_before_the_model_has_ended(chat_client: OpenAI, says: EngineDouble) -> None:
    says.hang_after = 2
    with chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK, stream=True) as stream:
        read = [next(stream) for _ in range(3)]
    assert _texts(read) == ["```sql", "\nSELECT"]
    assert says.gone.wait(60)  # closing the stream has stopped the model


def test_a_client_that_goes_before_the_first_piece_stops_the_model(
    chat_client: OpenAI, says: EngineDouble
) -> None:
    says.hang = True
    with pytest.raises(openai.APITimeoutError):
        _stream(chat_client, n=2, timeout=1)
    assert says.gone.wait(60)


def test_the_usage_comes_last_where_it_is_asked_for(chat_client: OpenAI) -> None:
    chunks = _stream(chat_client, stream_options={"include_usage": True})
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens == 7
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_a_repaired_answer_comes_in_one_piece(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text = lambda body, index: ROME if len(body["messages"]) > 2 else "SELECT nam FROM x"
    chunks = _stream(chat_client, extra_body={"verisql": {"repair": 2}})
    assert _texts(chunks) == [ROME]
    assert len(chunks[-1].verisql["repairs"]) == 1


def test_choices_of_a_stream_come_one_after_the_other(
    chat_client: OpenAI, says: EngineDouble
) -> None:
    says.text = ["SELECT 1", ROME, ROME_SQL]
    chunks = _stream(chat_client, n=3)
    assert _texts(chunks, 0) == _texts(chunks, 1) == [ROME]
    assert _texts(chunks, 2) == ["```sql\nSELECT 1\n```"]
    ends = [c.choices[0].index for c in chunks if c.choices[0].finish_reason]
    assert ends == [0, 1, 2]


def test_words_without_sql_are_followed_by_plain_ones(
    chat_client: OpenAI, says: EngineDouble
) -> None:
    says.text = "I do not know"
    said = "".join(_texts(_stream(chat_client)))
    assert said == "I do not know\n\nThe model gave no SQL for this question."


def test_what_fails_in_the_stream_is_raised(chat_client: OpenAI, says: EngineDouble) -> None:
    says.error_after = 2
    with (
        chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK, stream=True) as stream,
        pytest.raises(openai.APIError, match="EngineCore") as caught,
    ):
        list(stream)
    assert caught.value.code == "engine_unavailable"
    assert caught.value.type == "server_error"


def test_what_fails_before_the_stream_has_its_own_status(chat_client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        chat_client.chat.completions.create(model="verisql/nope", messages=ASK, stream=True)


def test_the_async_client_streams_too(openai_service: Service) -> None:
    async def ask() -> list[Any]:
        async with AsyncOpenAI(base_url=f"{openai_service.url}/v1", api_key=KEY) as client:
            stream = await client.chat.completions.create(
                model=SHOP_MODEL, messages=ASK, stream=True
            )
            return [chunk async for chunk in stream]

    assert "".join(_texts(asyncio.run(ask()))) == ROME


def test_the_stream_helper_of_the_client_puts_it_together(chat_client: OpenAI) -> None:
    with chat_client.chat.completions.stream(model=SHOP_MODEL, messages=ASK) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ROME


def test_every_line_of_a_stream_is_data_or_a_comment(openai_service: Service) -> None:
    body = {"model": SHOP_MODEL, "messages": ASK, "stream": True, "n": 2}
    response = httpx.post(
        f"{openai_service.url}/v1/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    frames = response.text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    data = [frame.removeprefix("data: ") for frame in frames[:-2] if frame.startswith("data: ")]
    assert all(json.loads(one)["object"] == "chat.completion.chunk" for one in data)
    rest = [frame for frame in frames[:-2] if not frame.startswith("data: ")]
    assert rest
    assert all(frame.startswith(": ") for frame in rest)
