"""GET /v1/models: the databases as models, and the models that answer."""

from dataclasses import dataclass
from typing import Literal

import psutil
from fastapi import APIRouter

from service.api.deps import Parts, PartsDep
from service.api.errors import OpenAIErrorBody
from service.errors import NotFound, UnknownDatabase
from service.protocols.openai_target import HEADER, NAME, database_model, served_names

router = APIRouter(
    prefix="/v1/models",
    tags=["openai"],
    responses={"default": {"model": OpenAIErrorBody, "description": "Every error."}},
)


@dataclass(frozen=True, slots=True)
class ModelItem:
    """What `model` may be; `created` is when this service started, Unix seconds."""

    id: str
    created: int
    object: Literal["model"] = "model"
    owned_by: str = NAME


@dataclass(frozen=True, slots=True)
class ModelList:
    """All of them."""

    data: list[ModelItem]
    object: Literal["list"] = "list"


@router.get("")
async def list_openai_models(parts: PartsDep) -> ModelList:
    """`verisql/<db_id>` for each database; `verisql` and the served models want the header."""
    started = int(psutil.Process().create_time())
    return ModelList([ModelItem(name, started) for name in _names(parts)])


@router.get("/{model:path}")
async def get_openai_model(model: str, parts: PartsDep) -> ModelItem:
    """One of them; its id may hold slashes."""
    if model in _names(parts):
        return ModelItem(model, int(psutil.Process().create_time()))
    first, _, db_id = model.partition("/")
    if first == NAME:
        raise UnknownDatabase(f"no database is registered as {db_id[:200]!r}", param="model")
    raise NotFound(
        f"no model is called {model[:200]!r}: GET /v1/models lists those of this service; all but "
        f"{NAME}/<db_id> need the header {HEADER}",
        param="model",
    )


def _names(parts: Parts) -> list[str]:
    databases = [database_model(db_id) for db_id in parts.registry.ids()]
    return [*databases, NAME, *served_names(parts.engine.model)]
