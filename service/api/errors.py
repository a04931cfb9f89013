"""Turn every failure into the one error body: {"error": {code, message, param, request_id}}."""

import logging
import sys
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from service.api.error_style import styled_detail, styled_status
from service.errors import InvalidRequest, VeriSQLError
from service.logs import request_id

_LOG = logging.getLogger(__name__)
INTERNAL = "an internal error; the log has it under this request_id"
"""What a caller is told of an error that nobody raised on purpose."""
_SHOWN_INPUT = 200  # characters of an offending value that are repeated to the caller


class ErrorDetail(BaseModel):
    """What went wrong."""

    code: str
    message: str
    param: str | None
    request_id: str


class ErrorBody(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorDetail


class OpenAIErrorDetail(ErrorDetail):
    """What went wrong, with the word for it that OpenAI's clients read."""

    type: str


class OpenAIErrorBody(BaseModel):
    """The same under /v1/."""

    error: OpenAIErrorDetail


def error_response(
    status: int, code: str, message: str, param: str | None, retry_after_s: float | None = None
) -> Response:
    """The one error body, as an answer."""
    headers = {"Retry-After": str(max(1, round(retry_after_s)))} if retry_after_s else None
    body = error_body(code, message, param)
    return Response(body, styled_status(status), headers, media_type="application/json")


def error_body(code: str, message: str, param: str | None) -> bytes:
    """The one error body, as JSON."""
    detail: dict[str, str | None] = {
        "code": code,
        "message": _unicode(message),
        "param": None if param is None else _unicode(param),
        "request_id": request_id.get(),
    }
    return orjson.dumps({"error": styled_detail(detail, code)})


def known_body(error: VeriSQLError) -> bytes:
    """The error body of an error that VeriSQL raises on purpose, as JSON."""
    return error_body(error.code, error.message, error.param)


def any_body(error: Exception) -> bytes:
    """The error body of any error, as JSON; one that is not raised on purpose is logged."""
    if isinstance(error, VeriSQLError):
        return known_body(error)
    _LOG.error("unhandled error", exc_info=error)
    return error_body(VeriSQLError.code, INTERNAL, None)


def invalid(error: ValidationError) -> InvalidRequest:
    """What pydantic found wrong first, in our words."""
    first: dict[str, Any] = dict(error.errors()[0])
    param = _param({**first, "loc": ("body", *first["loc"])})
    return InvalidRequest(_explain(first, param), param=param or None)


def known_error(error: VeriSQLError) -> Response:
    """The error body of an error that VeriSQL raises on purpose."""
    return error_response(
        error.http_status, error.code, error.message, error.param, error.retry_after_s
    )


def install(app: FastAPI) -> None:
    """Register the handlers; the last resort is in middleware.py."""
    app.add_exception_handler(VeriSQLError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _routing)
    app.add_exception_handler(ClientDisconnect, _hung_up)


def _known(_request: Request, error: Exception) -> Response:
    assert isinstance(error, VeriSQLError)
    if error.http_status == 500:
        _LOG.error("%s", error, exc_info=error)
    return known_error(error)


def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "")
        where = first["loc"][-1]
        message = f"the body is not valid JSON: {reason} at character {where}"
        return error_response(400, "invalid_json", message, None)
    param = _param(first)
    return error_response(422, "invalid_request", _explain(first, param), param or None)


def _routing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:_SHOWN_INPUT]
    code, message = {
        400: ("invalid_json", f"the body cannot be read as JSON: {_unreadable(error.__cause__)}"),
        404: ("not_found", f"there is nothing at {path}; see /docs"),
        405: ("method_not_allowed", f"{request.method} is not allowed at {path}; see /docs"),
        413: ("too_large", str(error.detail)),
    }.get(error.status_code, ("invalid_request", str(error.detail)))
    return error_response(error.status_code, code, message, None)


def _unreadable(cause: BaseException | None) -> str:
    """Why the parser gave up without saying where."""
    match cause:
        case UnicodeDecodeError():
            return f"it is not {cause.encoding.upper()} at byte {cause.start}"
        case RecursionError():
            return "it is nested too deep"
        case ValueError():  # Python's own limit against numbers that take for ever to read
            return f"a number has more than {sys.get_int_max_str_digits()} digits"
        case _:
            return "it did not arrive whole"


def _unicode(text: str) -> str:
    """The text with halves of surrogate pairs, which UTF-8 has not, written as escapes."""
    return text.encode(errors="backslashreplace").decode()


def _hung_up(_request: Request, _error: Exception) -> Response:
    """For the log and the metrics alone: the status that proxies use for it."""
    return Response(status_code=499)


def _param(first: dict[str, Any]) -> str:
    parts = [str(part) for part in first["loc"]]
    inside = parts[1:] if parts[0] in ("body", "query", "path", "header") else parts
    unknown = [first["ctx"]["name"]] if first["type"] == "unknown_field" else []
    return ".".join(inside + unknown)


def _explain(first: dict[str, Any], param: str) -> str:
    if first["type"] == "unknown_field":
        return str(first["msg"])
    if first["type"] == "missing":
        return f"field {param!r} is missing" if param else "the body is missing"
    shown = repr(first.get("input"))[:_SHOWN_INPUT]
    return f"{param or 'body'}: {first['msg']} (was {shown})"
