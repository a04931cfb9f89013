"""Following a stream of the service across breaks: nothing twice, nothing left out."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import orjson

from service.client.connection import is_loopback
from service.client.errors import ServiceError
from service.client.sse import Event, events
from service.client.wire import no_answer, refusal

_SILENCE_S = 60.0  # the service says something every 15 s
_PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_PASSES = (429, 502, 503, 504)


def following_client(url: str, api_key: str | None) -> httpx.AsyncClient:
    """A client for streams of one service."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = httpx.Timeout(_SILENCE_S, connect=5.0)
    return httpx.AsyncClient(
        base_url=url, headers=headers, timeout=timeout, trust_env=not is_loopback(url)
    )


async def follow(
    http: httpx.AsyncClient,
    path: str,
    params: dict[str, Any],
    broken: Callable[[ServiceError], None],
) -> AsyncGenerator[Event, None]:
    """The events of a stream up to its `end`, that included.

    After a break it goes on behind the last event, for as long as it takes; `broken` is told why.
    Raises ServiceError where the first try fails, and where another one would be no use.
    """
    last: str | None = None
    failures, begun = 0, False
    while True:
        try:
            async for event in _once(http, path, params, last):
                failures, begun = 0, True
                last = event.id or last
                yield event
                if event.name == "end":
                    return
            error = ServiceError("broken_connection", "the stream ended before the job did")
        except ServiceError as failure:
            error = failure
            if not begun or not _passes(error):
                raise
        broken(error)
        pause = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
        await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        failures += 1


async def _once(
    http: httpx.AsyncClient, path: str, params: dict[str, Any], last: str | None
) -> AsyncGenerator[Event, None]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    try:
        async with http.stream("GET", path, params=params, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                raise refusal(response)
            yield Event("open", "{}", None)
            async for event in events(response.aiter_bytes()):
                if event.name == "error":
                    raise _told(event)
                yield event
    except httpx.TransportError as error:
        raise no_answer(error, str(http.base_url)) from error


def _told(event: Event) -> ServiceError:
    error = orjson.loads(event.data)["error"]
    status = 503 if error["code"] == "unavailable" else None
    return ServiceError(error["code"], error["message"], status=status)


def _passes(error: ServiceError) -> bool:
    no_answer_at_all = ("unreachable", "broken_connection", "timeout")
    return error.status in _PASSES or error.code in no_answer_at_all
