"""A model server that is already there (VERISQL_ENGINE_URL), and no model server at all."""

import asyncio
from collections.abc import Callable, Sequence

from service.engine.base import (
    Completions,
    EngineModel,
    EngineState,
    EngineStatus,
    Message,
    OnText,
    Sampling,
)
from service.engine.client import EngineClient, patience
from service.engine.tokens import upper_bound
from service.errors import EngineOff, EngineUnavailable, VeriSQLError

_PROBE_S = 5.0


class RemoteEngine:
    """Ready after a real completion, failed while a look every few seconds finds it gone.

    Serves `preferred` if the server lists it, else the first model listed.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        preferred: str,
        generate_timeout_s: float,
        say: Callable[[str], None],
        probe_s: float = _PROBE_S,
    ) -> None:
        self._url = url
        self._preferred = preferred
        self._probe_s = probe_s
        self._say = say
        self._client = EngineClient(
            url, patience(generate_timeout_s), api_key=api_key, use_proxy=True
        )
        self._state = EngineState("starting", f"asking {url}")
        self._model: EngineModel | None = None
        self._prober: asyncio.Task[None] | None = None

    @property
    def state(self) -> EngineState:
        """Where it stands by the last look."""
        return self._state

    @property
    def model(self) -> EngineModel | None:
        """What it serves; None until it has answered."""
        return self._model

    async def start(self) -> None:
        """Begin to look and return at once."""
        self._prober = asyncio.create_task(self._probe_for_ever(), name="engine")

    async def close(self) -> None:
        """Stop looking; the server itself is not ours."""
        if self._prober:
            self._prober.cancel()
            await asyncio.gather(self._prober, return_exceptions=True)
        await self._client.close()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion; raises EngineUnavailable, EngineTimeout, TooLarge."""
        if self._model is None:
            raise EngineUnavailable(f"the model is not ready: {self.state.detail}", retry_after_s=5)
        asked = self._model if model is None else EngineModel(model)
        return await self._client.complete(asked, messages, sampling, on_text)

    def count_tokens(self, text: str) -> int:
        """An upper bound: the server's tokenizer is not here."""
        return upper_bound(text)

    async def _probe_for_ever(self) -> None:
        while True:
            try:
                await self._probe()
            except VeriSQLError as error:
                self._set("failed", error.message)
            await asyncio.sleep(self._probe_s)

    async def _probe(self) -> None:
        names = await self._client.models()
        if not names:
            raise EngineUnavailable(f"{self._url} serves no model")
        name = self._preferred if self._preferred in names else names[0]
        if self._state.status != "ready" or self._model != EngineModel(name):
            await self._client.warm_up(EngineModel(name))
            self._model = EngineModel(name)
            self._set("ready", f"{name} answers on {self._url}")

    def _set(self, status: EngineStatus, detail: str) -> None:
        state = EngineState(status, detail)
        if state != self._state:
            self._state = state
            self._say(f"engine {status}: {detail}")


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
        """An upper bound, for whoever shows a prompt without a model."""
        return upper_bound(text)
