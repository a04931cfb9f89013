"""Requests and answers as bytes."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import orjson

from service.client.errors import ServiceError

Result = dict[str, Any]
"""A report of POST /verify, or `{"error": {"code", "message", "param", "request_id"}}`."""


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON; raises TypeError for a value that JSON has not."""
    try:
        return orjson.dumps(value)
    except TypeError:  # models write halves of surrogate pairs, which UTF-8 has not
        return json.dumps(value).encode()


def items_body(items: Iterable[bytes]) -> bytes:
    """The body of POST /verify/batch."""
    return b'{"items":[%b]}' % b",".join(items)


def decode(data: bytes) -> Result:
    """One JSON object; raises ServiceError `bad_answer`."""
    try:
        value = orjson.loads(data)
    except ValueError as error:
        raise bad_answer(data) from error
    if not isinstance(value, dict):
        raise bad_answer(data)
    return value


def bad_answer(data: bytes, status: int | None = None) -> ServiceError:
    """The answer is not one of ours; its beginning is shown."""
    shown = data[:200].decode(errors="replace")
    return ServiceError("bad_answer", f"{status or 'not understood'}: {shown}", status=status)


def refusal(response: httpx.Response) -> ServiceError:
    """The error in an answer that was read; `bad_answer` where a proxy or the like wrote it."""
    try:
        body = orjson.loads(response.content)["error"]
        error = ServiceError(body["code"], body["message"], param=body.get("param"))
        error.request_id = body.get("request_id")
    except (ValueError, KeyError, TypeError):
        error = bad_answer(response.content)
    error.status = response.status_code
    error.request_id = error.request_id or response.headers.get("x-request-id")
    error.retry_after_s = _seconds(response.headers.get("retry-after", ""))
    return error


def no_answer(cause: httpx.TransportError, url: str) -> ServiceError:
    """Why nothing, or not all, came back."""
    if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout):
        message = f"no service answers at {url} ({cause}); start one with `verisql serve`"
        return ServiceError("unreachable", message)
    if isinstance(cause, httpx.TimeoutException):
        return ServiceError("timeout", f"{url} was silent for too long ({type(cause).__name__})")
    return ServiceError("broken_connection", f"{url} ended the connection too early ({cause})")


def error_item(error: ServiceError) -> Result:
    """An error in the place of a report."""
    detail = {"code": error.code, "message": str(error)}
    return {"error": detail | {"param": error.param, "request_id": error.request_id}}


def _seconds(text: str) -> float | None:
    return float(text) if text.isdigit() else None
