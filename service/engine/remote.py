"""A model server that is already there (VERISQL_ENGINE_URL)."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from service.engine.adapters import ServerAdapters, unknown_model
from service.engine.base import (
    Completions,
    EngineModel,
    EngineState,
    EngineStatus,
    Message,
    OnText,
    Sampling,
)
from service.engine.client import EngineClient, Patience
from service.engine.failures import gone
from service.engine.tokens import CountTokens, upper_bound
from service.engine.vigil import Vigil, Vigilance
from service.errors import EngineUnavailable, VeriSQLError

_PROBE_S = 5.0


class RemoteEngine:
    """Ready after a real completion, failed while looks every few seconds find it gone or hung.

    Serves `preferred` if the server lists it, else the first model listed.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        preferred: str,
        waits: Patience,
        say: Callable[[str], None],
        count: CountTokens = upper_bound,
        probe_s: float = _PROBE_S,
        vigilance: Vigilance = Vigilance(),  # noqa: B008 - frozen
    ) -> None:
        self.url = url
        self._preferred = preferred
        self._probe_s = probe_s
        self._vigilance = vigilance
        self._say = say
        self._count = count
        self._client = EngineClient(url, waits, api_key=api_key, use_proxy=True)
        self._state = EngineState("starting", f"asking {url}")
        self._model: EngineModel | None = None
        self._names: tuple[str, ...] = ()
        self._adapters = ServerAdapters()
        self._vigil: Vigil | None = None
        self._doubted = asyncio.Event()
        self._prober: asyncio.Task[None] | None = None

    @property
    def state(self) -> EngineState:
        """Where it stands by the last look."""
        return self._state

    @property
    def model(self) -> EngineModel | None:
        """What it serves; None until it has answered."""
        return self._model

    @property
    def served(self) -> tuple[str, ...]:
        """What the server listed last, our model first, and the adapters that we loaded."""
        if self._model is None:
            return ()
        return tuple(dict.fromkeys([self._model.name, *self._names, *self._adapters.held]))

    @property
    def lost(self) -> Mapping[str, str]:
        """Adapters that the server refused when it came back."""
        return self._adapters.lost

    @property
    def outstanding(self) -> int:
        """Completions that are under way there."""
        return self._client.outstanding

    async def start(self) -> None:
        """Begin to look and return at once."""
        self._prober = asyncio.create_task(self._probe_for_ever(), name=f"engine {self.url}")

    async def close(self) -> None:
        """Stop looking; the server itself is not ours."""
        if self._prober:
            self._prober.cancel()
            await asyncio.gather(self._prober, return_exceptions=True)
        await self._client.close()

    def doubt(self, why: str) -> None:
        """Take it for failed until a completion has come back, which is tried at once."""
        self._set("failed", why)
        self._doubted.set()

    def check_ready(self) -> None:
        """Raises EngineUnavailable until it has answered once; later a request is the test."""
        self._answering()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion; raises EngineUnavailable, EngineTimeout, TooLarge, UnknownModel."""
        asked = self._named(self._answering(), model)
        return await self._client.complete(asked, messages, sampling, on_text)

    async def next_tokens(self, tokens: Sequence[int], *, model: str) -> dict[int, float]:
        """See AdapterEngine.next_tokens."""
        return await self._client.next_tokens(self._named(self._answering(), model), tokens)

    def count_tokens(self, text: str) -> int:
        """Tokens by VERISQL_TOKENIZER, an upper bound without it."""
        return self._count(text)

    def hold_adapter(self, name: str, folder: Path) -> None:
        """Have this adapter loaded before the server counts as ready."""
        self._adapters.hold(name, folder)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Load one, at a path that the server sees too.

        Raises AdapterRejected, AdaptersOff, EngineUnavailable, EngineTimeout.
        """
        if name not in self._names:
            await self._adapters.load(self._client, name, folder)
        self._adapters.hold(name, folder)

    async def unload_adapter(self, name: str) -> None:
        """Let one go; raises EngineUnavailable, EngineTimeout."""
        self._names = tuple(known for known in self._names if known != name)
        await self._adapters.unload(self._client, name)

    def _answering(self) -> EngineModel:
        if self._model is None:
            raise EngineUnavailable(f"the model is not ready: {self.state.detail}", retry_after_s=5)
        return self._model

    def _named(self, base: EngineModel, name: str | None) -> EngineModel:
        if name in (None, base.name):
            return base
        if name not in self.served:
            raise unknown_model(name, self.served)
        return replace(base, adapter=name) if name in self._adapters.held else EngineModel(name)

    async def _probe_for_ever(self) -> None:
        while True:
            self._doubted.clear()
            try:
                await self._probe()
            except VeriSQLError as error:
                self._set("failed", error.message)
            # Not wait_for, which in Python 3.11 can swallow the cancellation by close().
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._probe_s):
                    await self._doubted.wait()

    async def _probe(self) -> None:
        names = await self._client.models()
        if not names:
            raise EngineUnavailable(f"{self.url} serves no model")
        model = EngineModel(self._preferred if self._preferred in names else names[0])
        self._names = tuple(names)
        await self._adapters.restore(self._client, names)
        if self._vigil is None or self._state.status != "ready" or self._model != model:
            await self._begin(model)
        elif not await self._vigil.look(healthy=True):
            raise gone(f"lists its models but completes nothing: {self.url}")

    async def _begin(self, model: EngineModel) -> None:
        await self._client.warm_up(model)
        self._model = model
        self._vigil = Vigil(self._client, model, self._vigilance)
        self._set("ready", f"{model.name} answers on {self.url}")

    def _set(self, status: EngineStatus, detail: str) -> None:
        state = EngineState(status, detail)
        if state != self._state:
            self._state = state
            self._say(f"engine {status}: {detail}")
