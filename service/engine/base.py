"""What the rest of the service knows of a model server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Message = dict[str, str]

OnText = Callable[[int, str], None]
"""Told the index of a choice and the next piece of its text."""

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
    """As name@revision; one of the model's own name is part of the model's weights."""

    @property
    def merged(self) -> bool:
        """Whether the adapter is part of the weights."""
        return self.adapter is not None and self.adapter.rpartition("@")[0] == self.name

    @property
    def served_name(self) -> str:
        """What a request calls it: an adapter beside the weights has a name of its own."""
        return self.name if self.adapter is None or self.merged else self.adapter


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens."""

    temperature: float = 0.0
    """0..2; 0 is greedy."""
    max_tokens: int = 512
    """Of each choice."""
    seed: int | None = None
    """Choice i draws with seed + i; -2^63..2^63-1."""
    n: int = 1
    """Choices of one prompt, which is read once."""
    logprobs: bool = False
    """Fill `Completion.mean_logprob`."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One choice."""

    text: str
    completion_tokens: int
    """Exact for a single choice or with log-probabilities, else the choice's share of the total."""
    finish_reason: str
    """`stop`, or `length` when max_tokens cut it."""
    mean_logprob: float | None = None
    """Mean natural log-probability of its tokens, before temperature; 0 is certain."""


@dataclass(frozen=True, slots=True)
class Completions:
    """What came of one prompt."""

    choices: tuple[Completion, ...]
    """As many as `Sampling.n`, in the order of their index."""
    prompt_tokens: int
    completion_tokens: int
    """Of all choices."""
    cached_tokens: int | None
    """Prompt tokens found in the prefix cache; None where the server does not tell."""
    model: EngineModel
    """What answered."""


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

    def check_ready(self) -> None:
        """Raises EngineOff, EngineUnavailable where a completion would be refused unasked."""

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion of `sampling.n` choices.

        `model` names another one that the server holds, None is the live one. With `on_text` the
        server streams, and each piece is handed over as it comes. Cancelling stops the server's
        work on it. Raises EngineOff, EngineUnavailable, EngineTimeout, EngineRefused, UnknownModel,
        and TooLarge when prompt and `max_tokens` together are over the model's context.
        """

    def count_tokens(self, text: str) -> int:
        """Tokens of a text by the model's own tokenizer, an upper bound where that is unknown."""


class AdapterEngine(Engine, Protocol):
    """An engine that takes LoRA adapters while it runs; their names are `name@revision`."""

    @property
    def served(self) -> tuple[str, ...]:
        """What `model` may name now: the base model first; empty while that is unknown."""

    @property
    def lost(self) -> Mapping[str, str]:
        """Adapters that could not be loaded again after a restart, each with the reason."""

    def hold_adapter(self, name: str, folder: Path) -> None:
        """Have this one loaded before the engine is ready."""

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Load one beside the others, now and after every restart.

        Raises AdapterRejected, AdaptersOff, EngineOff, EngineUnavailable, EngineTimeout.
        """

    async def next_tokens(self, tokens: Sequence[int], *, model: str) -> dict[int, float]:
        """The likeliest tokens to come after these, each with its natural log-probability.

        Up to 20, by the model that is named. Raises EngineRefused where the server does not tell
        them by id (vLLM does), and what `complete` raises.
        """

    async def unload_adapter(self, name: str) -> None:
        """Let it go; requests under way finish on it. Raises EngineUnavailable, EngineTimeout."""
