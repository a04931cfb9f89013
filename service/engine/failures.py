"""What a model server and the network do wrong, as errors of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from service.errors import EngineRefused, EngineTimeout, EngineUnavailable, TooLarge

RETRY_AFTER_S = 5.0
_CONTEXT_WORDS = ("context length", "context_length", "maximum model length", "max_model_len")
_GONE = (httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE)
_PASSING = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)
_SHOWN = 500  # characters of an answer that are repeated


class ServerGone(EngineUnavailable):
    """The server cannot be reached, broke off, or said 502 or 503: another one may do it."""


@asynccontextmanager
async def mapped(timeout_s: float) -> AsyncIterator[None]:
    """Bound a call as a whole; raises EngineTimeout, ServerGone."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (TimeoutError, httpx.ReadTimeout) as error:
        raise late(f"did not answer within {timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise gone(f"cannot be reached: {error or type(error).__name__}") from error


def late(what: str) -> EngineTimeout:
    """The server was too slow; `what` goes on after "the model server"."""
    return EngineTimeout(f"the model server {what}", retry_after_s=RETRY_AFTER_S)


def gone(what: str) -> ServerGone:
    """The server is not there; `what` goes on after "the model server"."""
    return ServerGone(f"the model server {what}", retry_after_s=RETRY_AFTER_S)


def not_openai(path: str, answer: str) -> EngineUnavailable:
    """The server speaks another language."""
    return EngineUnavailable(
        f"the model server's answer to {path} is not OpenAI-compatible: {answer[:200]!r}",
        retry_after_s=RETRY_AFTER_S,
    )


def refusal(
    status: int, body: str, parsed: Any = None, retry_after: str | None = None
) -> EngineUnavailable | EngineRefused | TooLarge:
    """The error that a status other than 200 stands for; `parsed` is its body's JSON, if any."""
    why = _error_text(parsed) or body[:_SHOWN]
    if status in (400, 413, 422) and any(words in why for words in _CONTEXT_WORDS):
        return TooLarge(f"the prompt is over the model's context: {why}")
    if status in (401, 403):
        why, status_words = "check VERISQL_ENGINE_API_KEY", "refused our key"
    elif 400 <= status < 500 and status not in _PASSING:
        return EngineRefused(f"the model server answered {status}: {why}")
    else:
        status_words = f"answered {status}"
    kind = ServerGone if status in _GONE else EngineUnavailable
    wait_s = float(retry_after) if retry_after and retry_after.isdigit() else RETRY_AFTER_S
    return kind(f"the model server {status_words}: {why}", retry_after_s=wait_s)


def _error_text(parsed: Any) -> str:
    """The message of an OpenAI-style error body; empty if it is none."""
    if not isinstance(parsed, dict):
        return ""
    error = parsed.get("error", parsed)
    found = error.get("message") if isinstance(error, dict) else error
    return str(found or parsed)[:_SHOWN]
