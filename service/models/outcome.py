"""What is told of models: the list of them, and what came of an activation."""

from dataclasses import dataclass
from typing import Literal

from service.models.adapters import AdapterModel
from service.models.check import Check

ModelState = Literal["live", "loaded", "registered", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an activation."""

    model: str
    """The one that was asked for, as name@revision, or `base`."""
    activated: bool
    live: str
    """Which one is live now."""
    previous: str
    """Which one was live before; the same as `live` where nothing changed."""
    checks: list[Check]
    """Empty for the base and for what was live already."""
    reason: str | None
    """Why it was not activated."""
    duration_s: float


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How it stands with one model; `adapter` is None for the base."""

    name: str
    state: ModelState
    since: float | None
    """When it went live last, was restored, or else was registered; seconds since 1970."""
    why: str | None
    """Why it failed last."""
    adapter: AdapterModel | None
