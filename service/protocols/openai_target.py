"""Which database and which model an OpenAI-style request means. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.engine.base import EngineModel
from service.errors import InvalidRequest, NotFound

NAME = "verisql"
"""As a model: the live one."""
HEADER = "X-VeriSQL-Database"


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, and how the answer calls it."""

    db_id: str
    model: str | None
    """A served model or adapter; None is the live one."""
    called: str
    param: str
    """Where the database was named."""


def served_names(model: EngineModel | None) -> list[str]:
    """The model and its adapter, by the names that requests may use; empty while unknown."""
    if model is None:
        return []
    return list(dict.fromkeys(name for name in (model.name, model.adapter) if name))


def database_model(db_id: str) -> str:
    """A database by the name that stands for it in `model`."""
    return f"{NAME}/{db_id}"


def find_target(
    model: str, header: str | None, served: Sequence[str], adapter: str | None = None
) -> Target:
    """Read `model` and the header.

    `verisql/<db_id>`, or `verisql` or a served model with the header; `adapter` is a served model
    beside the former. `served` is empty while it is not known what is served. Raises InvalidRequest
    where no database is named or two are, NotFound for a model that is not served.
    """
    first, _, named = model.partition("/")
    ours = first == NAME
    _check_served(adapter if ours else model, served, "verisql.model" if ours else "model")
    in_model = named if ours else ""
    if in_model and header and in_model != header:
        raise InvalidRequest(
            f"model names the database {in_model[:200]!r} and {HEADER} {header[:200]!r}: name one",
            param="model",
        )
    db_id = in_model or header
    if not db_id:
        raise InvalidRequest(
            f"no database is named: use model {NAME}/<db_id> or the header {HEADER}", param="model"
        )
    called = database_model(db_id) if ours else model
    return Target(db_id, adapter if ours else model, called, "model" if in_model else HEADER)


def _check_served(model: str | None, served: Sequence[str], param: str) -> None:
    if model is not None and served and model not in served:
        raise NotFound(
            f"no model is called {model[:200]!r}: use {NAME}/<db_id>, or one of "
            f"{', '.join([NAME, *served])} with the header {HEADER}",
            param=param,
        )
