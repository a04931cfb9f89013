"""POST /verify/batch: many groups in one request, answered in order or as they finish."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field, ValidationError, WithJsonSchema

from service.api.deps import Parts, PartsDep
from service.api.errors import ErrorBody, any_body, invalid
from service.api.hangup import while_connected
from service.api.verify import VerifyBody
from service.errors import InvalidRequest, TooLarge
from service.strict import StrictModel
from service.text2sql.batch import Outcome, verify_each
from service.text2sql.types import VerifyReport, VerifyTask

router = APIRouter(tags=["verify"])

NDJSON = "application/x-ndjson"
_AT_ONCE = 8  # groups under way for each worker: one runs, the pool chooses among the others

_Items = Annotated[
    list[Any],
    Field(min_length=1),
    WithJsonSchema(
        {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/VerifyBody"}}
    ),
]


class VerifyBatchBody(StrictModel):
    """Groups to judge, each as for POST /verify."""

    items: _Items


class VerifyBatchReply(BaseModel):
    """A report or an error for each item, in order."""

    results: list[VerifyReport | ErrorBody]


@router.post(
    "/verify/batch",
    response_model=VerifyBatchReply,
    responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
)
async def verify_batch(body: VerifyBatchBody, parts: PartsDep, request: Request) -> Response:
    """Judge many groups in one request.

    An item that is malformed or fails has an `error` in its place, the others go on. With
    `Accept: application/x-ndjson` each item comes as a line of its own, with its `index`, as it
    finishes. A caller that closes the connection ends the work.
    """
    most = parts.settings.max_items
    if len(body.items) > most:
        raise TooLarge(
            f"{len(body.items)} items; this server takes {most} in one request (VERISQL_MAX_ITEMS)",
            param="items",
        )
    if NDJSON in request.headers.get("accept", ""):
        return StreamingResponse(
            _lines(body.items, parts), media_type=NDJSON
        )  # ends with its caller
    results = await while_connected(request, _in_order(body.items, parts))
    return Response(b'{"results":[%b]}' % b",".join(results), media_type="application/json")


async def _in_order(items: list[Any], parts: Parts) -> list[bytes]:
    results = [b""] * len(items)
    async with aclosing(_results(items, parts)) as finished:
        async for index, result in finished:
            results[index] = result
    return results


async def _lines(items: list[Any], parts: Parts) -> AsyncGenerator[bytes, None]:
    async with aclosing(_results(items, parts)) as finished:
        async for index, result in finished:
            yield b'{"index":%d,%b\n' % (index, result[1:])


async def _results(items: list[Any], parts: Parts) -> AsyncGenerator[tuple[int, bytes], None]:
    """(place, JSON object) of each item as it finishes; malformed ones come first."""
    places, tasks = [], []
    for place, item in enumerate(items):
        try:
            tasks.append(_task(item, parts))
            places.append(place)
        except Exception as error:  # noqa: BLE001 - one item, whatever it is, must not end all
            yield place, any_body(error)
    # Neighbours on the same database find it open.
    order = sorted(range(len(tasks)), key=lambda n: tasks[n].db_id)
    places, tasks = [places[n] for n in order], [tasks[n] for n in order]
    at_once = _AT_ONCE * parts.settings.workers
    async with aclosing(verify_each(parts.verifier.verify, tasks, at_once)) as finished:
        async for number, outcome in finished:
            yield places[number], _result(outcome, parts)


def _result(outcome: Outcome, parts: Parts) -> bytes:
    if isinstance(outcome, Exception):
        return any_body(outcome)
    try:
        result = orjson.dumps(outcome)
    except orjson.JSONEncodeError as error:
        return any_body(error)
    parts.metrics.count_verdicts(outcome)
    return result


def _task(item: Any, parts: Parts) -> VerifyTask:
    if not isinstance(item, dict):
        raise InvalidRequest(f"an item must be an object, is {type(item).__name__}")
    try:
        return VerifyBody.model_validate(item).task(parts.settings)
    except ValidationError as error:
        raise invalid(error) from None
