"""No model server at all (VERISQL_ENGINE=off)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from service.engine.base import Completions, EngineState, Message, OnText, Sampling
from service.engine.tokens import upper_bound
from service.errors import EngineOff


class OffEngine:
    """No model: the service verifies and trains, and generation is refused."""

    @property
    def state(self) -> EngineState:
        """Always off."""
        return EngineState("off", "VERISQL_ENGINE=off")

    @property
    def model(self) -> None:
        """None."""
        return None

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to stop."""

    def check_ready(self) -> None:
        """Raises EngineOff."""
        raise _off()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """Raises EngineOff."""
        raise _off()

    async def next_tokens(self, tokens: Sequence[int], *, model: str) -> dict[int, float]:
        """Raises EngineOff."""
        raise _off()

    def count_tokens(self, text: str) -> int:
        """An upper bound, for whoever looks at a prompt without a model."""
        return upper_bound(text)

    @property
    def served(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def lost(self) -> Mapping[str, str]:
        """None can be lost."""
        return {}

    def hold_adapter(self, name: str, folder: Path) -> None:
        """There is nothing to hold it."""

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Raises EngineOff."""
        raise _off()

    async def unload_adapter(self, name: str) -> None:
        """None is loaded."""


def _off() -> EngineOff:
    return EngineOff(
        "this service runs without a model (VERISQL_ENGINE=off); start it with "
        "VERISQL_ENGINE=local or with VERISQL_ENGINE_URL to generate SQL"
    )
