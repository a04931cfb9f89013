"""What the rest of the service knows of a model server."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Message = dict[str, str]

EngineStatus = Literal["off", "starting", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class EngineState:
    """Where the engine stands; `detail` says it to a person."""

    status: EngineStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EngineModel:
    """What is served; `revision` is None where a foreign server does not tell."""

    name: str
    revision: str | None = None
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer of the model."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    """`stop`, or `length` when max_tokens cut it."""


class Engine(Protocol):
    """A model server with a life of its own: it may start late, fall over and come back."""

    @property
    def state(self) -> EngineState:
        """Where it stands now."""

    @property
    def model(self) -> EngineModel | None:
        """What it serves; None while that is unknown."""

    async def start(self) -> None:
        """Begin to start and return at once; `state` tells how it goes."""

    async def close(self) -> None:
        """Stop for good and leave no process behind."""

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        temperature: float,
        max_tokens: int,
        seed: int | None = None,
    ) -> Completion:
        """One chat completion.

        Raises EngineOff, EngineUnavailable, EngineTimeout, and TooLarge when prompt and
        `max_tokens` together are over the model's context.
        """
