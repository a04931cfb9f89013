"""A vLLM server of our own: started on loopback, watched, started again, ended with us."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from service.engine import vllm
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
from service.engine.process import Fault, ServerProcess, spawn
from service.engine.tokens import counter
from service.engine.vigil import Vigil, Vigilance
from service.errors import AdaptersOff, EngineUnavailable, VeriSQLError
from service.models.registry import ServedModel

_FAREWELL_S = 1.0
"""A server that just died answers no more a little before its keeper ends with its code."""
_POLL_S = 0.5
_MAX_FAILURES = 4
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 600.0
"""Seconds of service after which earlier failures are forgotten."""
_USUAL_START_S = 30.0
_RETRY_S = (5.0, 60.0)
"""Shortest and longest Retry-After."""
_NO_ROOM = (
    "the model server was started without room for adapters: start the service again, with "
    "VERISQL_ADAPTERS=true if that does not help"
)
_LOG = logging.getLogger(__name__)


class LocalEngine:
    """Ready means that a greedy and a sampled completion came back.

    A server that ends, or hangs by the rules of vigil.py, is started again after `pause_s` times
    2, 4, 8; after four failures in a row the state is `failed`. What the system refuses (a full
    disk, no more processes) is such a failure.
    """

    def __init__(
        self,
        model: ServedModel,
        options: vllm.VllmOptions,
        *,
        log_path: Path,
        start_timeout_s: float,
        waits: Patience,
        say: Callable[[str], None],
        vigilance: Vigilance = Vigilance(),  # noqa: B008 - frozen
        python: str = sys.executable,
        pause_s: float = 1.0,
    ) -> None:
        self._served = model
        self._options = options
        self._python = python
        self._pause_s = pause_s
        self._log_path = log_path
        self._start_timeout_s = start_timeout_s
        self._waits = waits
        self._vigilance = vigilance
        self._say = say
        self._count = counter(model.path)
        self._adapters = ServerAdapters()
        self._state = EngineState("starting", "not started yet")
        self._start_s = _USUAL_START_S
        self._ready_by = time.monotonic()
        self._client: EngineClient | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._process: ServerProcess | None = None

    @property
    def state(self) -> EngineState:
        """Where it stands now."""
        return self._state

    @property
    def model(self) -> EngineModel:
        """The model that is, or will be, served."""
        return EngineModel(self._served.name, self._served.revision, self._served.adapter)

    @property
    def served(self) -> tuple[str, ...]:
        """The base model, by its adapter's name too if it has one, and the adapters it holds."""
        own = (self._served.name, self._served.adapter)
        return (*filter(None, own), *self._adapters.held)

    @property
    def lost(self) -> Mapping[str, str]:
        """Adapters that a restarted server refused."""
        return self._adapters.lost

    @property
    def pid(self) -> int | None:
        """Process and group id of the keeper while one runs."""
        return self._process.pid if self._process else None

    @property
    def url(self) -> str | None:
        """Address of the server while it answers, e.g. for its own metrics."""
        return self._process.url if self._process and self._client else None

    async def start(self) -> None:
        """Begin to start and return at once."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        if self._log_path.exists():
            self._log_path.replace(self._log_path.with_suffix(".log.1"))
        self._supervisor = asyncio.create_task(self._supervise(), name="engine")

    async def close(self) -> None:
        """Stop for good: SIGTERM to the group, SIGKILL after 8 s."""
        if self._supervisor:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)

    def check_ready(self) -> None:
        """Raises EngineUnavailable while it starts."""
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
        client = self._answering()
        return await client.complete(self._named(model), messages, sampling, on_text)

    async def next_tokens(self, tokens: Sequence[int], *, model: str) -> dict[int, float]:
        """See AdapterEngine.next_tokens."""
        client = self._answering()
        return await client.next_tokens(self._named(model), tokens)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text by the model's own tokenizer."""
        return self._count(text)

    def hold_adapter(self, name: str, folder: Path) -> None:
        """Have this adapter loaded before the server is ready; it is lost without room for any."""
        if self._options.room:
            self._adapters.hold(name, folder)
        else:
            self._adapters.lose(name, _NO_ROOM)

    async def load_adapter(self, name: str, folder: Path) -> None:
        """Load one; raises AdapterRejected, AdaptersOff, EngineUnavailable, EngineTimeout."""
        if self._options.room is None:
            raise AdaptersOff(
                "VERISQL_ADAPTERS=false: start the service with VERISQL_ADAPTERS=true"
            )
        await self._adapters.load(self._answering(), name, folder)

    async def unload_adapter(self, name: str) -> None:
        """Let one go; raises EngineUnavailable, EngineTimeout."""
        await self._adapters.unload(self._client, name)

    def _answering(self) -> EngineClient:
        """The client of a server that is ready; raises EngineUnavailable."""
        if self._client is None:
            shortest, longest = _RETRY_S
            wait_s = min(max(self._ready_by - time.monotonic(), shortest), longest)
            detail = f"the model is not ready: {self.state.detail}"
            raise EngineUnavailable(detail, retry_after_s=round(wait_s))
        return self._client

    def _named(self, name: str | None) -> EngineModel:
        base = self.model
        if name in (None, base.name, base.adapter):
            return base
        if name not in self._adapters.held:
            raise unknown_model(name, self.served)
        return replace(base, adapter=name)

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except Exception as error:  # noqa: BLE001 - nobody awaits this task: the state has to tell.
            _LOG.exception("the engine is no longer looked after")
            self._set("failed", f"{type(error).__name__}: {error}")

    async def _keep_running(self) -> None:
        failures = 0
        while failures < _MAX_FAILURES:
            began = time.monotonic()
            try:
                await self._run()
            except (Fault, OSError) as fault:
                steady = time.monotonic() - began > _STEADY_S
                failures = 1 if steady else failures + 1
                await self._pause(str(fault), failures)

    async def _pause(self, fault: str, failures: int) -> None:
        if failures >= _MAX_FAILURES:
            self._set("failed", f"{fault}; given up after {failures} failures in a row")
            return
        pause_s = min(self._pause_s * 2**failures, _LONGEST_PAUSE_S)
        self._ready_by = time.monotonic() + pause_s + self._start_s
        self._set("starting", f"{fault}; starting again in {pause_s:g} s")
        await asyncio.sleep(pause_s)

    async def _run(self) -> None:
        """One life of the server; ends with Fault, or by being cancelled."""
        began = time.monotonic()
        self._ready_by = began + self._start_s
        self._set("starting", "loading vLLM")
        process = self._process = await spawn(
            self._python, self._options, self._served, self._log_path
        )
        client = EngineClient(process.url, self._waits)
        try:
            await self._wait_until_ready(process, client)
            self._start_s = time.monotonic() - began
            self._client = client
            self._set("ready", f"{self._served.told} answers on {process.url}")
            await self._watch(process, client)
        finally:
            self._client = None
            await self._end(process, client)

    async def _end(self, process: ServerProcess, client: EngineClient) -> None:
        try:
            await process.end()
        finally:
            self._process = None
            await client.close()

    async def _wait_until_ready(self, process: ServerProcess, client: EngineClient) -> None:
        try:
            async with asyncio.timeout(self._start_timeout_s):
                while not await client.healthy():
                    process.check()
                    self._set("starting", process.phase())
                    await asyncio.sleep(_POLL_S)
                self._set("starting", "warming up")
                await client.warm_up(self.model)
                await self._adapters.restore(client)
        except TimeoutError:
            raise Fault(f"not ready within {self._start_timeout_s:g} s") from None
        except VeriSQLError as error:
            process.check()
            raise Fault(f"the warm-up failed: {error.message}") from error

    async def _watch(self, process: ServerProcess, client: EngineClient) -> None:
        vigil = Vigil(client, self.model, self._vigilance)
        alive = True
        while alive:
            await process.wait(self._vigilance.look_s)
            process.check()
            alive = await vigil.look(healthy=await client.healthy())
        await process.wait(_FAREWELL_S)
        process.check()
        process.kill()  # It hears no SIGTERM, and those who wait for an answer wait in vain.
        raise Fault("the model server stopped answering")

    def _set(self, status: EngineStatus, detail: str) -> None:
        state = EngineState(status, detail)
        if state != self._state:
            self._state = state
            self._say(f"engine {status}: {detail}")
