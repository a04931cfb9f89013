"""One life of a vLLM server of ours: a process group, a port, a stretch of a log."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from service.engine import launch, lora_plugin, vllm
from service.models.registry import ServedModel

_GRACE_S = 8.0
_TAIL_BYTES = 65_536
_NOT_INHERITED = ("-u", "VERISQL_API_KEYS", "-u", "VERISQL_ENGINE_API_KEY")


class Fault(Exception):
    """Why a life of the server ended."""


class ServerProcess:
    """The server and its keeper (launch.py), in a group of their own; made by `spawn`."""

    def __init__(
        self, process: asyncio.subprocess.Process, port: int, log_path: Path, log_from: int
    ) -> None:
        self._process = process
        self._log_path = log_path
        self._log_from = log_from
        self.url = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        """Process and group id of the keeper."""
        return self._process.pid

    async def wait(self, timeout_s: float) -> None:
        """Return after the time, or as soon as the server has ended."""
        # Not wait_for, which in Python 3.11 can swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._process.wait()

    def check(self) -> None:
        """Raise Fault if the server has ended, with the reason that its log gives."""
        if self._process.returncode is None:
            return
        reason = vllm.last_error(self._tail()) or f"see {self._log_path}"
        raise Fault(f"the model server ended with code {self._process.returncode}: {reason}")

    def phase(self) -> str:
        """What it is doing while it starts."""
        return vllm.phase(self._tail())

    def kill(self) -> None:
        """End the group at once, as one that hangs has to be."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """End the group: the keeper does it on SIGTERM, and whatever is left is killed.

        Cancelled while it waits, it kills at once.
        """
        try:
            with contextlib.suppress(TimeoutError, ProcessLookupError):
                self._process.terminate()
                async with asyncio.timeout(_GRACE_S + 2):
                    await self._process.wait()
        finally:
            self.kill()
            await self._process.wait()

    def _tail(self) -> str:
        """The end of what this server wrote; empty if somebody took the log away."""
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(self._log_from, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""


async def spawn(
    python: str, options: vllm.VllmOptions, model: ServedModel, log_path: Path
) -> ServerProcess:
    """Start a server; raises OSError when the system refuses."""
    port = _free_port()
    if options.room:
        lora_plugin.install(options.plugins)
    variables = [f"{k}={v}" for k, v in vllm.environment(options).items()]
    keeper = [python, "-I", launch.__file__, str(os.getpid()), str(_GRACE_S)]
    command = [*keeper, *vllm.command(python, options, model, port)]
    with log_path.open("ab") as log:
        began = log.tell()
        process = await _start(["env", *_NOT_INHERITED, *variables, *command], log.fileno())
    return ServerProcess(process, port, log_path, began)


async def _start(command: Sequence[str], log: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _free_port() -> int:
    # Another process can take it before vLLM does; then the start fails and is tried again.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
