"""/models: which models there are, which one is live, and switching to another one."""

from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, Field

from service.api.deps import PartsDep
from service.api.errors import ErrorBody, error_body
from service.errors import CanaryFailed
from service.models.catalogue import TUNED
from service.models.outcome import ModelState, ModelStatus, Outcome
from service.strict import StrictModel

router = APIRouter(prefix="/models", tags=["models"])
_LONGEST_METADATA = 100  # fields


class RegisterBody(StrictModel):
    """A LoRA adapter in PEFT's layout that lies on the server's disk."""

    name: Annotated[str, Field(min_length=1, max_length=63)]
    path: Annotated[
        str | None,
        Field(max_length=4096, description="Its folder; default: `name` in the adapters' folder."),
    ] = None
    parent: Annotated[
        str | None, Field(max_length=100, description="The adapter that its training began with.")
    ] = None
    metadata: Annotated[
        dict[str, Any],
        Field(max_length=_LONGEST_METADATA, description="Lineage: data and spec hash, metrics."),
    ] = {}


class ModelItem(BaseModel):
    """The base model (`adapter` false) or an adapter.

    A base that was tuned carries an adapter in its weights: `merged` names it, as answers do, and
    `base` and `revision` are those of the model that it was trained on.
    """

    name: str
    served_name: str | None
    """What `/generate` names in `model.adapter`, and takes in `model`."""
    adapter: bool
    state: ModelState
    since: float | None
    why: str | None
    revision: str | None
    base: str | None
    merged: str | None = None
    rank: int | None = None
    size_bytes: int | None = None
    source: str | None = None
    registered_at: float | None = None
    parent: str | None = None
    lineage: dict[str, Any] = {}


class ModelList(BaseModel):
    """The base, then the adapters, the oldest first."""

    live: str
    data: list[ModelItem]


class CheckBody(BaseModel):
    """One thing that was asked of the model."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str


class OutcomeBody(BaseModel):
    """What came of an activation."""

    model: str
    activated: bool
    live: str
    previous: str
    checks: list[CheckBody]
    reason: str | None
    duration_s: float


class CanaryFailedBody(ErrorBody):
    """The one error body, and beside it what was found."""

    outcome: OutcomeBody


@router.get("")
async def list_models(parts: PartsDep) -> ModelList:
    """The base model and every registered adapter, with state and lineage."""
    data = [_item(status, parts) for status in parts.models.all()]
    return ModelList(live=parts.models.live, data=data)


@router.post("", status_code=201)
async def register_model(body: RegisterBody, parts: PartsDep) -> ModelItem:
    """Check an adapter's files and take a copy; it is not loaded yet.

    The same files again under the same name are no error; other files are 409 `conflict`. Files
    that are faulty or do not fit the served model are 422 `adapter_rejected`.
    """
    models = parts.models
    folder = models.source(body.name, body.path)
    adapter = await models.register(folder, body.name, body.parent, body.metadata)
    return _item(models.status(adapter), parts)


@router.post(
    "/{name}/activate",
    response_model=OutcomeBody,
    responses={409: {"model": CanaryFailedBody, "description": "It failed, nothing changed."}},
)
async def activate_model(name: str, parts: PartsDep) -> Response:
    """Load it, try it on fixed questions, and make it the live model; `base` is the base model.

    Requests go on meanwhile, and those under way finish on the model that they began with. What
    was live before stays loaded, so that activating it again is the way back. One that fails its
    trial is 409 `canary_failed` with the outcome beside the error, and the live model stays.
    """
    outcome = await parts.models.activate(name)
    return outcome_response(outcome)


@router.post(
    "/roll-back",
    response_model=OutcomeBody,
    responses={409: {"model": CanaryFailedBody, "description": "It failed, nothing changed."}},
)
async def roll_back(parts: PartsDep) -> Response:
    """Make live what was before, without a trial where it is still loaded.

    409 `conflict` if there was nothing else.
    """
    return outcome_response(await parts.models.roll_back())


@router.delete("/{name}", status_code=204)
async def forget_model(name: str, parts: PartsDep) -> None:
    """Unload an adapter and delete our copy; 409 `model_in_use` while it is live."""
    await parts.models.forget(name)


def outcome_response(outcome: Outcome) -> Response:
    """200 and the outcome, or 409 with the outcome beside the error."""
    told = asdict(outcome)
    if outcome.activated:
        return Response(orjson.dumps(told), media_type="application/json")
    error = orjson.loads(error_body(CanaryFailed.code, _why(outcome), "name"))
    body = orjson.dumps(error | {"outcome": told})
    return Response(body, CanaryFailed.http_status, media_type="application/json")


def _why(outcome: Outcome) -> str:
    return f"{outcome.model} failed, {outcome.live} stays live: {outcome.reason}"


def _item(status: ModelStatus, parts: PartsDep) -> ModelItem:
    adapter, base = status.adapter, parts.engine.model
    if adapter is None:
        merged = parts.models.merged
        return ModelItem(
            name=status.name,
            served_name=base.name if base else None,
            adapter=False,
            state=status.state,
            since=status.since,
            why=status.why,
            revision=base.revision if base else None,
            base=TUNED.get(base.name) if base and merged else None,
            merged=merged,
        )
    return ModelItem(
        served_name=adapter.served_name,
        adapter=True,
        state=status.state,
        since=status.since,
        why=status.why,
        **asdict(adapter),
    )
