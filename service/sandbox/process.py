"""The parent's handle on one worker process: start it, talk to it, kill it."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from service.errors import Unavailable
from service.sandbox.frames import HEADER, Frame, decode, encode
from service.sandbox.limits import Limits

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated and without site-packages: a worker can load this project and the standard library only.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from service.sandbox.worker import main; main(sys.argv[2])"
)
_START_TIMEOUT_S = 30.0


class WorkerDied(Exception):
    """The process ended before it answered."""


class WorkerLate(Exception):
    """The process did not answer in time; it must be killed."""


class WorkerProcess:
    """One warm worker in its own process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.engine_version = ""
        self.last_path = ""

    @classmethod
    async def start(cls, limits: Limits) -> "WorkerProcess":
        """A worker that has said it is ready; raises Unavailable if it cannot start."""
        worker = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _ROOT),
                json.dumps(dataclasses.asdict(limits)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        )
        try:
            hello = await worker.receive(_START_TIMEOUT_S)
        except (WorkerDied, WorkerLate) as error:
            await worker.kill()
            raise Unavailable(
                f"a SQL worker process cannot start (exit code {worker.exit_code}); "
                f"is VERISQL_WORKER_MEMORY_MB={limits.memory_mb} enough?"
            ) from error
        worker.engine_version = hello["sqlite"]
        return worker

    @property
    def pid(self) -> int:
        """Process id, also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    async def send(self, task: Frame) -> None:
        """Hand over a task; raises WorkerDied."""
        assert self._process.stdin
        try:
            self._process.stdin.write(encode(task))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerDied from error

    async def receive(self, timeout_s: float) -> Frame:
        """The next answer; raises WorkerLate after `timeout_s`, WorkerDied at its end."""
        assert self._process.stdout
        try:
            async with asyncio.timeout(timeout_s):
                header = await self._process.stdout.readexactly(HEADER.size)
                return decode(await self._process.stdout.readexactly(HEADER.unpack(header)[0]))
        except TimeoutError as error:
            raise WorkerLate from error
        except (asyncio.IncompleteReadError, ValueError) as error:
            raise WorkerDied from error

    async def kill(self) -> None:
        """End the process group and reap it; harmless when it is gone."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        await self._process.wait()
