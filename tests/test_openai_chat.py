"""POST /v1/chat/completions and GET /v1/models, through OpenAI's own client and a real port."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.fixtures_engine import EngineDouble
from tests.fixtures_openai import KEY, ROME, ROME_SQL, SHOP_MODEL
from tests.test_serve import Service

ASK: list[Any] = [{"role": "user", "content": "Who lives in Rome?"}]


def test_the_answer_is_the_sql_in_a_fence(chat_client: OpenAI, says: EngineDouble) -> None:
    says.cached_tokens = 5
    says.text = f"Here it is: {ROME} as you wished."
    answer = chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK)
    choice = answer.choices[0]
    assert choice.message.content == ROME
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert (answer.object, answer.model) == ("chat.completion", SHOP_MODEL)
    assert (answer.system_fingerprint or "").startswith("fp_")
    assert answer.usage
    assert answer.usage.prompt_tokens == 7
    assert answer.usage.total_tokens == 7 + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details
    assert answer.usage.prompt_tokens_details.cached_tokens == 5


def test_the_answer_has_the_request_id_and_all_that_generate_tells(chat_client: OpenAI) -> None:
    answer: Any = chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, extra_body={"verisql": {"execute": True}}
    )
    assert answer.id == f"chatcmpl-{answer._request_id}"
    told = answer.verisql
    assert told["request_id"] == answer._request_id
    assert told["result"]["rows"] == [["Bob"], ["Dan"]]
    assert told["explanation"]
    assert told["prompt_sha256"]


def test_the_async_client_gets_the_same(openai_service: Service) -> None:
    async def ask() -> str | None:
        async with AsyncOpenAI(base_url=f"{openai_service.url}/v1", api_key=KEY) as client:
            answer = await client.chat.completions.create(model=SHOP_MODEL, messages=ASK)
            return answer.choices[0].message.content

    assert asyncio.run(ask()) == ROME


@pytest.mark.parametrize("model", ["verisql", "double", SHOP_MODEL])
def test_the_database_may_be_named_by_a_header(chat_client: OpenAI, model: str) -> None:
    answer = chat_client.chat.completions.create(
        model=model, messages=ASK, extra_headers={"X-VeriSQL-Database": "shop"}
    )
    assert answer.choices[0].message.content == ROME
    assert answer.model == ("double" if model == "double" else SHOP_MODEL)


def test_sampling_reaches_the_model(chat_client: OpenAI, says: EngineDouble) -> None:
    chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, temperature=0.7, seed=3, max_completion_tokens=50,
        top_p=1, user="someone", metadata={"a": "b"}, store=False, tools=[], stop=[],
    )  # fmt: skip
    sent = says.requests[-1]
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (0.7, 3, 50)


def test_system_messages_are_the_hint_and_earlier_answers_the_history(
    chat_client: OpenAI, says: EngineDouble
) -> None:
    first = chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=[{"role": "system", "content": "Rome is a city"}, *ASK]
    )
    assert "Rome is a city" in json.dumps(says.requests[-1]["messages"])
    again = [*ASK, first.choices[0].message, {"role": "user", "content": "And how many?"}]
    answer: Any = chat_client.chat.completions.create(model=SHOP_MODEL, messages=again)
    sent = json.dumps(says.requests[-1]["messages"])
    assert ROME_SQL in sent
    assert "And how many?" in sent
    assert answer.verisql["status"] == "ok"


def test_choices_are_the_candidates_with_the_answer_first(
    chat_client: OpenAI, says: EngineDouble
) -> None:
    says.text = ["SELECT 1", "SELECT nam FROM customer", ROME, "no idea", ROME_SQL + " ORDER BY 1"]
    answer = chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK, n=5)
    said = [choice.message.content or "" for choice in answer.choices]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3, 4]
    assert said[0] == ROME
    assert "ORDER BY 1" in said[1]
    assert "SELECT 1" in said[2]
    assert sorted(said[3:]) == [
        "The model gave no SQL for this question.",
        "```sql\nSELECT nam FROM customer\n```",
    ]


def test_candidates_may_vote_for_a_single_choice(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text = ["SELECT 1", ROME, ROME]
    answer: Any = chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, extra_body={"verisql": {"candidates": 3}}
    )
    assert [choice.message.content for choice in answer.choices] == [ROME]
    assert len(answer.verisql["candidates"]) == 3


def test_an_answer_without_sql_says_so(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text, says.finish_reason = "I would rather not", "length"
    choice = chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK).choices[0]
    assert choice.message.content == "The model gave no SQL for this question."
    assert choice.finish_reason == "length"


def test_a_repaired_query_is_the_content(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text = lambda body, index: ROME if len(body["messages"]) > 2 else "SELECT nam FROM x"
    answer = chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, extra_body={"verisql": {"repair": 1}}
    )
    assert answer.choices[0].message.content == ROME


def test_another_dialect_is_the_content(chat_client: OpenAI, says: EngineDouble) -> None:
    says.text = "SELECT name FROM customer LIMIT 1"
    answer: Any = chat_client.chat.completions.create(
        model=SHOP_MODEL, messages=ASK, extra_body={"verisql": {"dialect": "tsql"}}
    )
    assert "TOP 1" in answer.choices[0].message.content
    assert answer.verisql["sqlite_sql"] == says.text


def test_answers_are_remembered_for_feedback(
    chat_client: OpenAI, openai_service: Service, says: EngineDouble
) -> None:
    question: list[Any] = [{"role": "user", "content": "Which people are Romans?"}]
    first: Any = chat_client.chat.completions.create(model=SHOP_MODEL, messages=question)
    body = {"request_id": first._request_id, "rating": "positive"}
    headers = {"Authorization": f"Bearer {KEY}"}
    given = httpx.post(f"{openai_service.url}/feedback", json=body, headers=headers)
    assert given.json()["verified_query"]["sql"] == ROME_SQL
    says.requests.clear()
    again: Any = chat_client.chat.completions.create(model=SHOP_MODEL, messages=question)
    assert again.verisql["verified"]
    assert again.choices[0].message.content == ROME
    assert says.requests == []


def test_the_models_are_the_databases_and_what_is_served(chat_client: OpenAI) -> None:
    listed = chat_client.models.list().data
    names = [model.id for model in listed]
    assert names == ["verisql/alpine_retail", SHOP_MODEL, "verisql", "double"]
    assert all(model.object == "model" and model.created > 0 for model in listed)
    assert chat_client.models.retrieve(SHOP_MODEL).id == SHOP_MODEL
    with pytest.raises(openai.NotFoundError, match="nope"):
        chat_client.models.retrieve("verisql/nope")


def test_a_plain_http_client_needs_nothing_but_json(openai_service: Service) -> None:
    # As LangChain and curl send it: nulls for what was not set.
    body = {"model": SHOP_MODEL, "messages": ASK, "n": 1, "stream": False, "temperature": None}
    response = httpx.post(
        f"{openai_service.url}/v1/chat/completions",
        json=body | {"stop": None, "max_tokens": None, "logit_bias": None, "top_p": 1.0},
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=60,
    )
    assert response.status_code == 200
    assert response.json()["choices"][0] == {
        "index": 0,
        "message": {"content": ROME, "role": "assistant", "refusal": None},
        "finish_reason": "stop",
        "logprobs": None,
    }
