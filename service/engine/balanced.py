"""Several model servers as one engine: the least busy one answers, another takes over."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from service.engine.adapters import unknown_model
from service.engine.base import Completions, EngineModel, EngineState, Message, OnText, Sampling
from service.engine.failures import RETRY_AFTER_S, ServerGone
from service.engine.remote import RemoteEngine
from service.errors import EngineUnavailable

T = TypeVar("T")


class BalancedEngine:
    """A request goes to the ready server with the fewest requests under way; ties take turns.

    A server that cannot be reached, breaks off, or says 502 or 503, gets no more requests until
    a completion of its own has come back (RemoteEngine.doubt). The request is tried on each of
    the others once, unless a piece of its answer has been handed over already. All serve the
    model that the first one to be ready serves: a server with another one gets no requests.
    """

    def __init__(self, servers: Sequence[RemoteEngine]) -> None:
        self._servers = list(servers)
        self._reference: EngineModel | None = None
        self._turn = 0

    @property
    def state(self) -> EngineState:
        """Ready while one server is; the detail names those that are not."""
        ready = self._ready()
        detail = f"{len(ready)} of {len(self._servers)} servers ready"
        wrong = "; ".join(self._wrong(s) for s in self._servers if s not in ready)
        told = f"{detail}; {wrong}" if wrong else detail
        if ready:
            return EngineState("ready", told)
        starting = any(server.state.status == "starting" for server in self._servers)
        return EngineState("starting" if starting else "failed", told)

    @property
    def model(self) -> EngineModel | None:
        """What they serve; None until the first has answered."""
        if self._reference is None:
            ready = (s.model for s in self._servers if s.state.status == "ready")
            self._reference = next(ready, None)
        return self._reference

    async def start(self) -> None:
        """Begin to look at all of them and return at once."""
        await asyncio.gather(*(server.start() for server in self._servers))

    async def close(self) -> None:
        """Stop looking; the servers are not ours."""
        await asyncio.gather(*(server.close() for server in self._servers))

    def check_ready(self) -> None:
        """Raises EngineUnavailable where no server is ready."""
        if not self._ready():
            raise self._none_ready()

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion; raises EngineUnavailable, EngineTimeout, TooLarge, UnknownModel."""
        heard = _Heard(on_text) if on_text else None
        return await self._by_any(
            model,
            lambda server: server.complete(messages, sampling, model=model, on_text=heard),
            begun=lambda: bool(heard and heard.anything),
        )

    async def next_tokens(self, tokens: Sequence[int], *, model: str) -> dict[int, float]:
        """See AdapterEngine.next_tokens."""
        return await self._by_any(model, lambda server: server.next_tokens(tokens, model=model))

    @property
    def served(self) -> tuple[str, ...]:
        """What one of the ready servers, or more, can be asked for."""
        return tuple(dict.fromkeys(name for server in self._ready() for name in server.served))

    @property
    def lost(self) -> Mapping[str, str]:
        """Adapters that a server refused when it came back, and that no other one has."""
        told = (item for server in self._servers for item in server.lost.items())
        return {name: why for name, why in told if name not in self.served}

    def hold_adapter(self, name: str, folder: Path) -> None:
        """Have this adapter loaded wherever a server gets ready."""
        for server in self._servers:
            server.hold_adapter(name, folder)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Load one on every ready server, or on none; the others get it before they are ready.

        Raises AdapterRejected, AdaptersOff, EngineUnavailable, EngineTimeout.
        """
        ready = self._ready()
        if not ready:
            raise self._none_ready()
        loads = (server.load_adapter(name, folder) for server in ready)
        results = await asyncio.gather(*loads, return_exceptions=True)
        if failures := [result for result in results if isinstance(result, BaseException)]:
            await self.unload_adapter(name)
            raise failures[0]
        for server in self._servers:
            if server not in ready:
                server.hold_adapter(name, folder)

    async def unload_adapter(self, name: str) -> None:
        """Let one go everywhere; a server that cannot be told has forgotten it when it restarts."""
        unloads = (server.unload_adapter(name) for server in self._servers)
        await asyncio.gather(*unloads, return_exceptions=True)

    def count_tokens(self, text: str) -> int:
        """Tokens by VERISQL_TOKENIZER, an upper bound without it."""
        return self._servers[0].count_tokens(text)

    async def _by_any(
        self,
        model: str | None,
        ask: Callable[[RemoteEngine], Awaitable[T]],
        begun: Callable[[], bool] = lambda: False,
    ) -> T:
        """Of the first server that is not gone; none is asked after what has `begun` to come."""
        failure: ServerGone | None = None
        if model and self._ready() and model not in self.served:
            raise unknown_model(model, self.served)
        for server in self._candidates(model):
            try:
                return await ask(server)
            except ServerGone as error:
                server.doubt(error.message)
                failure = error
                if begun():
                    break
        raise failure or self._none_ready()

    def _candidates(self, model: str | None) -> Iterator[RemoteEngine]:
        """Each ready server once, the least busy first as things stand when it is asked for."""
        tried: list[RemoteEngine] = []
        while left := [s for s in self._ready() if s not in tried and _serves(s, model)]:
            self._turn += 1
            turned = [left[(self._turn + i) % len(left)] for i in range(len(left))]
            tried.append(min(turned, key=lambda server: server.outstanding))
            yield tried[-1]

    def _ready(self) -> list[RemoteEngine]:
        wanted = self.model
        return [s for s in self._servers if s.state.status == "ready" and s.model == wanted]

    def _wrong(self, server: RemoteEngine) -> str:
        if server.state.status == "ready" and server.model and self.model:
            return f"{server.url} serves {server.model.name}, not {self.model.name}"
        return f"{server.url} {server.state.status}: {server.state.detail}"

    def _none_ready(self) -> EngineUnavailable:
        detail = f"no model server is ready: {self.state.detail}"
        return EngineUnavailable(detail, retry_after_s=RETRY_AFTER_S)


def _serves(server: RemoteEngine, model: str | None) -> bool:
    return model is None or model in server.served


class _Heard:
    """Hands pieces on, and knows whether there was one."""

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self.anything = False

    def __call__(self, index: int, text: str) -> None:
        self.anything = True
        self._on_text(index, text)
