"""The engine that everybody else talks to: it answers with the live model."""

from collections.abc import Sequence
from dataclasses import replace

from service.engine.adapters import unknown_model
from service.engine.base import (
    AdapterEngine,
    Completions,
    EngineModel,
    EngineState,
    Message,
    OnText,
    Sampling,
)
from service.models.adapters import BASE


class LiveEngine:
    """Which model is live is one field, read once when a completion begins.

    So a request that is under way finishes on the model that it began with.
    """

    def __init__(self, engine: AdapterEngine) -> None:
        self._engine = engine
        self._live: str | None = None

    @property
    def live(self) -> str | None:
        """The live adapter, as name@revision; None is the base, also while the server lost it."""
        live = self._live
        return None if live in self._engine.lost else live

    def switch(self, adapter: str | None) -> None:
        """From now on this one answers; the engine holds it already."""
        self._live = adapter

    @property
    def state(self) -> EngineState:
        """Where it stands now; the detail tells of a live adapter that was lost."""
        state, lost = self._engine.state, self._live and self._engine.lost.get(self._live)
        if not lost:
            return state
        return replace(state, detail=f"{state.detail}; {self._live} is lost, base answers: {lost}")

    @property
    def model(self) -> EngineModel | None:
        """The live model; None while the base is unknown."""
        base = self._engine.model
        return base and replace(base, adapter=self.live)

    async def start(self) -> None:
        """Begin to start and return at once."""
        await self._engine.start()

    async def close(self) -> None:
        """Stop for good."""
        await self._engine.close()

    def check_ready(self) -> None:
        """Raises EngineOff, EngineUnavailable."""
        self._engine.check_ready()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion by the live model, or by the one that is named.

        An adapter's name may come without its revision. Raises UnknownModel and what the engine
        raises.
        """
        asked = self.live if model is None else self._served(model)
        return await self._engine.complete(messages, sampling, model=asked, on_text=on_text)

    def count_tokens(self, text: str) -> int:
        """Tokens by the base model's tokenizer."""
        return self._engine.count_tokens(text)

    def _served(self, name: str) -> str | None:
        served = self._engine.served
        if name == BASE or not served or name in served:
            return None if name == BASE else name
        found = [known for known in served if known.startswith(f"{name}@")]
        if not found:
            raise unknown_model(name, served)
        return found[-1]
