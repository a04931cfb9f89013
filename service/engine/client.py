"""Talk to an OpenAI-compatible model server, and turn its failures into ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import orjson
from pydantic import BaseModel, ValidationError

from service.engine.base import Completions, EngineModel, Message, OnText, Sampling
from service.engine.failures import late, mapped, not_openai, refusal
from service.engine.gather import Gathered, broke_off
from service.engine.wire import Chat, Models, Next, next_request, request
from service.errors import EngineRefused

_CHAT, _TEXT = "/v1/chat/completions", "/v1/completions"
_CONNECT_TIMEOUT_S = 5.0
_LOOK_TIMEOUT_S = 10.0
_DATA = "data:"
_DONE = "[DONE]"
_JSON = {"Content-Type": "application/json"}
_HI: list[Message] = [{"role": "user", "content": "SELECT 1"}]

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a completion, seconds; the two shorter ones bound a stream."""

    whole_s: float
    first_s: float
    """Until the first piece: the queue and the reading of the prompt."""
    between_s: float
    """Between two pieces."""


def patience(
    whole_s: float, first_s: float | None = None, stall_s: float | None = None
) -> Patience:
    """Limits of which the shorter ones default to the whole."""
    return Patience(whole_s, first_s or whole_s, stall_s or whole_s)


class EngineClient:
    """One server: `url` with or without a final `/v1`.

    Cancelling a call closes its connection, upon which vLLM stops generating.
    """

    def __init__(
        self, url: str, waits: Patience, *, api_key: str | None = None, use_proxy: bool = False
    ) -> None:
        self._waits = waits
        self.outstanding = 0
        """Completions that are under way."""
        self.moved = 0
        """Pieces and answers received so far: it changes while the server is alive."""
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/").removesuffix("/v1"),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            # The queue is the server's: it batches what arrives, so nothing waits here.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=use_proxy,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def healthy(self) -> bool:
        """Whether GET /health answers 200; says little about completions."""
        return await self._look("/health") is not None

    async def metrics(self) -> str | None:
        """The server's /metrics as Prometheus writes them; None where there are none."""
        return await self._look("/metrics")

    async def models(self) -> list[str]:
        """Names of what is served; raises EngineUnavailable, EngineTimeout."""
        async with mapped(_LOOK_TIMEOUT_S):
            response = await self._http.get("/v1/models")
            return [model.id for model in _read(Models, response).data]

    async def post(self, path: str, body: dict[str, Any], timeout_s: float) -> httpx.Response:
        """The answer to any other call, whatever its status; raises ServerGone, EngineTimeout."""
        async with mapped(timeout_s):
            return await self._http.post(path, json=body)

    async def complete(
        self,
        model: EngineModel,
        messages: Sequence[Message],
        sampling: Sampling,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion, streamed if there is an `on_text`.

        Raises EngineUnavailable, EngineTimeout, TooLarge.
        """
        gathered = Gathered(sampling.n, on_text)
        body = _bytes(request(model, messages, sampling, stream=on_text is not None))
        async with self._under_way():
            if on_text is None:
                gathered.add(_read(Chat, await self._post(body)))
            else:
                await self._stream(body, gathered)
        return gathered.completions(model)

    async def next_tokens(self, model: EngineModel, tokens: Sequence[int]) -> dict[int, float]:
        """See AdapterEngine.next_tokens."""
        async with self._under_way():
            response = await self._http.post(_TEXT, json=next_request(model, tokens))
            found = _read(Next, response).by_id()
        if found is None:
            raise EngineRefused("the model server tells no log-probabilities by token id")
        return found

    async def warm_up(self, model: EngineModel) -> None:
        """A greedy and a sampled completion: what "ready" must mean, since /health knows neither.

        Raises EngineUnavailable, EngineTimeout.
        """
        await self.complete(model, _HI, Sampling(0.0, max_tokens=2))
        await self.complete(model, _HI, Sampling(1.0, max_tokens=2, seed=0))

    async def probe(self, model: EngineModel, timeout_s: float) -> None:
        """The smallest completion; raises EngineUnavailable, EngineTimeout."""
        async with mapped(timeout_s):
            await self.complete(model, _HI, Sampling(max_tokens=1))

    @asynccontextmanager
    async def _under_way(self) -> AsyncIterator[None]:
        """Count a request, and bound it as a whole."""
        self.outstanding += 1
        try:
            async with mapped(self._waits.whole_s):
                yield
        finally:
            self.outstanding -= 1
        self.moved += 1

    async def _post(self, body: bytes) -> httpx.Response:
        return await self._http.post(_CHAT, content=body, headers=_JSON)

    async def _look(self, path: str) -> str | None:
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT_S):
                response = await self._http.get(path)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            return None
        return response.text if response.status_code == httpx.codes.OK else None

    async def _stream(self, body: bytes, gathered: Gathered) -> None:
        waits, clock = self._waits, asyncio.get_running_loop().time
        waited = f"gave no first piece within {waits.first_s:g} s"
        post = self._http.stream("POST", _CHAT, content=body, headers=_JSON)
        try:
            async with asyncio.timeout(waits.first_s) as limit, post as response:
                async for chat in _chunks(response):
                    waited = f"stopped for {waits.between_s:g} s in its answer"
                    limit.reschedule(clock() + waits.between_s)
                    self.moved += 1
                    gathered.add(chat)
        except TimeoutError as error:
            # A server that has said all and leaves the connection open has answered.
            if not gathered.finished():
                raise late(waited) from error
        if not gathered.finished():
            raise broke_off()


def _bytes(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # Half a character, as a database can hold one: it becomes a "?".
        return json.dumps(body, ensure_ascii=False).encode(errors="replace")


async def _chunks(response: httpx.Response) -> AsyncIterator[Chat]:
    """The server-sent events of a stream; raises EngineUnavailable, TooLarge."""
    if response.status_code != httpx.codes.OK:
        await response.aread()
        raise _refused(response)
    async for line in response.aiter_lines():
        data = line.removeprefix(_DATA).strip() if line.startswith(_DATA) else ""
        # What follows the last event is read too, or the connection could not be used again.
        if data and data != _DONE:
            yield _chunk(data)


def _chunk(data: str) -> Chat:
    try:
        return Chat.model_validate_json(data)
    except ValidationError as error:
        found = _json(data)
        if isinstance(found, dict) and "error" in found:
            told = found["error"]
            code = told.get("code") if isinstance(told, dict) else None
            raise refusal(code if isinstance(code, int) else 500, data, found) from error
        raise not_openai(_CHAT, data) from error


def _read(kind: type[M], response: httpx.Response) -> M:
    if response.status_code != httpx.codes.OK:
        raise _refused(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise not_openai(response.request.url.path, response.text) from error


def _refused(response: httpx.Response) -> Exception:
    wait = response.headers.get("Retry-After")
    return refusal(response.status_code, response.text, _json(response.content), wait)


def _json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None
