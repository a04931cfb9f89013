"""Talk to an OpenAI-compatible model server, and turn its failures into ours."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from service.engine.base import Completion, Message
from service.errors import EngineTimeout, EngineUnavailable, TooLarge

_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 10.0
_RETRY_AFTER_S = 5.0
_CONTEXT_WORDS = ("context length", "context_length", "maximum model length", "max_model_len")

M = TypeVar("M", bound=BaseModel)


class EngineClient:
    """One server: `url` with or without a final `/v1`; `timeout_s` bounds a whole completion.

    Cancelling a call closes its connection, upon which vLLM stops generating.
    """

    def __init__(
        self, url: str, *, timeout_s: float, api_key: str | None = None, use_proxy: bool = False
    ) -> None:
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            # The queue is the server's: it batches what arrives, so nothing waits here.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=32),
            trust_env=use_proxy,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def healthy(self) -> bool:
        """Whether GET /health answers 200; says little about completions."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return (await self._http.get("/health")).status_code == httpx.codes.OK
        except (httpx.HTTPError, TimeoutError):
            return False

    async def models(self) -> list[str]:
        """Names of what is served; raises EngineUnavailable, EngineTimeout."""
        async with _mapped(_PROBE_TIMEOUT_S):
            response = await self._http.get("/v1/models")
            return [model.id for model in _read(_Models, response).data]

    async def complete(
        self,
        model: str,
        messages: Sequence[Message],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
    ) -> Completion:
        """One chat completion; raises EngineUnavailable, EngineTimeout, TooLarge."""
        body = {
            "model": model,
            "messages": list(messages),
            "temperature": temperature,
            "max_tokens": max_tokens,
        } | ({} if seed is None else {"seed": seed})
        async with _mapped(self._timeout_s):
            response = await self._http.post("/v1/chat/completions", json=body)
            return _completion(_read(_Chat, response))

    async def warm_up(self, model: str) -> None:
        """A greedy and a sampled completion: what "ready" must mean, since /health knows neither.

        Raises EngineUnavailable, EngineTimeout.
        """
        messages = [{"role": "user", "content": "SELECT 1"}]
        await self.complete(model, messages, temperature=0.0, max_tokens=2)
        await self.complete(model, messages, temperature=1.0, max_tokens=2, seed=0)


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chat(BaseModel):
    choices: list[_Choice]
    usage: _Usage | None = None


@asynccontextmanager
async def _mapped(timeout_s: float) -> AsyncIterator[None]:
    """Bound the call as a whole and map what the network does to our errors."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, httpx.ReadTimeout) as error:
        raise EngineTimeout(
            f"the model server did not answer within {timeout_s:g} s", retry_after_s=_RETRY_AFTER_S
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise _unavailable(f"the model server cannot be reached: {why}") from error


def _read(kind: type[M], response: httpx.Response) -> M:
    if response.status_code != httpx.codes.OK:
        raise _refusal(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise _unavailable(
            f"the model server's answer to {response.request.url.path} is not OpenAI-compatible: "
            f"{response.text[:200]!r}"
        ) from error


def _completion(chat: _Chat) -> Completion:
    if not chat.choices:
        raise _unavailable("the model server answered without a choice")
    choice, usage = chat.choices[0], chat.usage or _Usage()
    return Completion(
        text=choice.message.content or "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        finish_reason=choice.finish_reason or "stop",
    )


def _refusal(response: httpx.Response) -> EngineUnavailable | TooLarge:
    status, why = response.status_code, _error_text(response)
    if status in (400, 413, 422) and any(words in why for words in _CONTEXT_WORDS):
        return TooLarge(f"the prompt is over the model's context: {why}")
    if status in (401, 403):
        return _unavailable("the model server refused our key: check VERISQL_ENGINE_API_KEY")
    return _unavailable(
        f"the model server answered {status}: {why}", response.headers.get("Retry-After")
    )


def _error_text(response: httpx.Response) -> str:
    """The message of an OpenAI-style error body, else the body itself, at most 500 characters."""
    try:
        body: Any = response.json()
    except ValueError:
        return response.text[:500]
    if isinstance(body, dict):
        error = body.get("error", body)
        found = error.get("message") if isinstance(error, dict) else error
        return str(found or body)[:500]
    return response.text[:500]


def _unavailable(message: str, retry_after: str | None = None) -> EngineUnavailable:
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else _RETRY_AFTER_S
    return EngineUnavailable(message, retry_after_s=seconds)
