"""What OpenAI's client raises where the service refuses, fails or is busy."""

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml
from openai import DefaultHttpxClient, OpenAI

from tests.fixtures_engine import EngineDouble
from tests.fixtures_openai import KEY, ROME, SHOP_MODEL
from tests.test_openai_chat import ASK
from tests.test_serve import Service

REFUSED = yaml.safe_load((Path(__file__).parent / "cases" / "openai_refused.yaml").read_text())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: str(case["param"]))
def test_what_cannot_be_honoured_is_refused_by_name(
    openai_service: Service, case: dict[str, Any]
) -> None:
    body = {"model": SHOP_MODEL, "messages": ASK} | case["change"]
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    headers |= case.get("headers", {})
    url = f"{openai_service.url}/v1/chat/completions"
    response = httpx.post(url, content=json.dumps(body), headers=headers, timeout=60)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (case.get("status", 400), case["code"])
    assert error["param"] == case["param"]
    assert error["type"] == "invalid_request_error"
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert case.get("said", "") in error["message"]


def test_a_question_over_the_servers_bound_is_named(chat_client: OpenAI) -> None:
    said: list[Any] = [{"role": "user", "content": "x" * 1001}]
    with pytest.raises(openai.APIStatusError) as caught:
        chat_client.chat.completions.create(model=SHOP_MODEL, messages=said)
    error = caught.value
    assert (error.status_code, error.code, error.param) == (413, "too_large", "messages")


def test_an_unknown_database_is_not_found(chat_client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat_client.chat.completions.create(model="verisql/nope", messages=ASK)
    error = caught.value
    assert (error.code, error.param) == ("unknown_database", "model")
    assert error.type == "invalid_request_error"


def test_a_bad_request_is_a_bad_request(chat_client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK, temperature=3)
    assert (caught.value.code, caught.value.param) == ("invalid_request", "temperature")


def test_a_wrong_key_is_an_authentication_error(openai_service: Service) -> None:
    with (
        OpenAI(base_url=f"{openai_service.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model=SHOP_MODEL, messages=ASK)
    assert (caught.value.code, caught.value.type) == ("unauthorized", "authentication_error")


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_server_in_trouble_is_a_server_error_to_try_again(
    chat_client: OpenAI, says: EngineDouble, stream: bool
) -> None:
    says.fault_for = lambda body: (500, "boom")
    with pytest.raises(openai.InternalServerError) as caught:
        chat_client.chat.completions.create(model=SHOP_MODEL, messages=ASK, stream=stream)
    error = caught.value
    assert (error.status_code, error.code, error.type) == (
        503, "engine_unavailable", "server_error",
    )  # fmt: skip
    assert int(error.response.headers["Retry-After"]) > 0


def test_the_client_tries_again_by_itself(openai_service: Service, says: EngineDouble) -> None:
    told: list[str | None] = []

    def hurry(response: Any) -> None:
        told.append(response.headers.get("Retry-After"))
        response.headers["Retry-After-Ms"] = "1"  # the client would wait as long as it was told

    says.fault_for = lambda body: (500, "boom") if len(says.requests) == 1 else None
    with (
        DefaultHttpxClient(event_hooks={"response": [hurry]}) as http,
        OpenAI(
            base_url=f"{openai_service.url}/v1", api_key=KEY, max_retries=1, http_client=http
        ) as client,
    ):
        answer = client.chat.completions.create(model=SHOP_MODEL, messages=ASK)
    assert answer.choices[0].message.content == ROME
    assert told == ["5", None]


def test_a_path_that_is_not_there_is_a_not_found_error(chat_client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat_client.embeddings.create(model="verisql", input="x")
    assert caught.value.type == "invalid_request_error"


def test_the_other_paths_keep_their_own_form(openai_service: Service) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    response = httpx.post(f"{openai_service.url}/generate", json={}, headers=headers)
    assert response.status_code == 422
    assert set(response.json()["error"]) == {"code", "message", "param", "request_id"}
