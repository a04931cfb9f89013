"""No model server at all (VERISQL_ENGINE=off)."""

from collections.abc import Sequence

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

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """Raises EngineOff."""
        raise EngineOff(
            "this service runs without a model (VERISQL_ENGINE=off); start it with "
            "VERISQL_ENGINE=local or with VERISQL_ENGINE_URL to generate SQL"
        )

    def count_tokens(self, text: str) -> int:
        """An upper bound, for whoever looks at a prompt without a model."""
        return upper_bound(text)
