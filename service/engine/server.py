"""A vLLM server of our own: started on loopback, watched, started again, ended with us."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from service.engine import launch, vllm
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
from service.errors import EngineUnavailable, VeriSQLError
from service.models.registry import ServedModel

_POLL_S = 0.5
_WATCH_S = 2.0
_STRIKES = 3
_GRACE_S = 8.0
_MAX_FAILURES = 4
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 600.0
"""Seconds of service after which earlier failures are forgotten."""
_TAIL_BYTES = 65_536
_LOG = logging.getLogger(__name__)


class _Fault(Exception):
    """Why this run of the server ended."""


class LocalEngine:
    """The server process and its keeper (launch.py), in a process group of their own.

    Ready means that a greedy and a sampled completion came back. A server that ends or stops
    answering is started again after `pause_s` times 2, 4, 8; after four failures in a row the
    state is `failed`. What the system refuses (a full disk, no more processes) is such a failure.
    """

    def __init__(
        self,
        model: ServedModel,
        options: vllm.VllmOptions,
        *,
        log_path: Path,
        start_timeout_s: float,
        generate_timeout_s: float,
        say: Callable[[str], None],
        python: str = sys.executable,
        pause_s: float = 1.0,
    ) -> None:
        self._served = model
        self._options = options
        self._python = python
        self._pause_s = pause_s
        self._log_path = log_path
        self._log_from = 0
        self._start_timeout_s = start_timeout_s
        self._generate_timeout_s = generate_timeout_s
        self._say = say
        self._state = EngineState("starting", "not started yet")
        self._client: EngineClient | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def state(self) -> EngineState:
        """Where it stands now."""
        return self._state

    @property
    def model(self) -> EngineModel:
        """The model that is, or will be, served."""
        return EngineModel(self._served.name, self._served.revision)

    @property
    def pid(self) -> int | None:
        """Process and group id of the keeper while one runs."""
        return self._process.pid if self._process else None

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

    async def complete(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        model: str | None = None,
        on_text: OnText | None = None,
    ) -> Completions:
        """One chat completion; raises EngineUnavailable, EngineTimeout, TooLarge."""
        if self._client is None:
            raise EngineUnavailable(f"the model is not ready: {self.state.detail}", retry_after_s=5)
        asked = self.model if model is None else self._named(model)
        return await self._client.complete(asked, messages, sampling, on_text)

    def count_tokens(self, text: str) -> int:
        """Tokens of the text by the model's own tokenizer."""
        return upper_bound(text)

    def _named(self, name: str) -> EngineModel:
        base = self.model
        return base if name == base.name else replace(base, adapter=name)

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
            except (_Fault, OSError) as fault:
                steady = time.monotonic() - began > _STEADY_S
                failures = 1 if steady else failures + 1
                await self._pause(str(fault), failures)

    async def _pause(self, fault: str, failures: int) -> None:
        if failures >= _MAX_FAILURES:
            self._set("failed", f"{fault}; given up after {failures} failures in a row")
            return
        pause_s = min(self._pause_s * 2**failures, _LONGEST_PAUSE_S)
        self._set("starting", f"{fault}; starting again in {pause_s:g} s")
        await asyncio.sleep(pause_s)

    async def _run(self) -> None:
        """One life of the server; ends with _Fault, or by being cancelled."""
        port = _free_port()
        process = self._process = await self._spawn(port)
        url = f"http://127.0.0.1:{port}"
        client = EngineClient(url, patience(self._generate_timeout_s))
        try:
            await self._wait_until_ready(process, client)
            self._client = client
            self._set("ready", f"{self._served.name} answers on {url}")
            await self._watch(process, client)
        finally:
            self._client = None
            await self._end(process, client)

    async def _end(self, process: asyncio.subprocess.Process, client: EngineClient) -> None:
        try:
            await _end_group(process)
        finally:
            self._process = None
            await client.close()

    async def _spawn(self, port: int) -> asyncio.subprocess.Process:
        self._set("starting", "loading vLLM")
        variables = [f"{k}={v}" for k, v in vllm.environment(self._options).items()]
        server = vllm.command(self._python, self._options, self._served, port)
        keeper = [self._python, "-I", launch.__file__, str(os.getpid()), str(_GRACE_S)]
        with self._log_path.open("ab") as log:
            self._log_from = log.tell()
            return await asyncio.create_subprocess_exec(
                "env",
                *("-u", "VERISQL_API_KEYS", "-u", "VERISQL_ENGINE_API_KEY", *variables),
                *keeper,
                *server,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _wait_until_ready(
        self, process: asyncio.subprocess.Process, client: EngineClient
    ) -> None:
        try:
            async with asyncio.timeout(self._start_timeout_s):
                while not await client.healthy():
                    self._check(process)
                    self._set("starting", vllm.phase(self._log_tail()))
                    await asyncio.sleep(_POLL_S)
                self._set("starting", "warming up")
                await client.warm_up(self.model)
        except TimeoutError:
            raise _Fault(f"not ready within {self._start_timeout_s:g} s") from None
        except VeriSQLError as error:
            self._check(process)
            raise _Fault(f"the warm-up failed: {error.message}") from error

    async def _watch(self, process: asyncio.subprocess.Process, client: EngineClient) -> None:
        strikes = 0
        while strikes < _STRIKES:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _WATCH_S)
            self._check(process)
            strikes = 0 if await client.healthy() else strikes + 1
        raise _Fault("the model server stopped answering")

    def _check(self, process: asyncio.subprocess.Process) -> None:
        """Raise _Fault if the server has ended, with the reason that its log gives."""
        if process.returncode is None:
            return
        reason = vllm.last_error(self._log_tail()) or f"see {self._log_path}"
        raise _Fault(f"the model server ended with code {process.returncode}: {reason}")

    def _log_tail(self) -> str:
        """The end of what this run of the server wrote; empty if somebody took the log away."""
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(self._log_from, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _set(self, status: EngineStatus, detail: str) -> None:
        state = EngineState(status, detail)
        if state != self._state:
            self._state = state
            self._say(f"engine {status}: {detail}")


def _free_port() -> int:
    # Another process can take it before vLLM does; then the start fails and is tried again.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End the group: the keeper does it on SIGTERM, and whatever is left is killed.

    Cancelled while it waits, it kills at once.
    """
    try:
        with contextlib.suppress(TimeoutError, ProcessLookupError):
            process.terminate()
            await asyncio.wait_for(process.wait(), _GRACE_S + 2)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
