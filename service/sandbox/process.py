"""The parent's handle on one worker process: start it, talk to it, kill it."""

import asyncio
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import orjson

from service.errors import Unavailable
from service.sandbox.frames import HEADER, Frame, decode, encode
from service.sandbox.limits import OUT_OF_MEMORY_EXIT, STARVED, Limits
from service.sandbox.progress import Progress, shared_descriptor

_ROOT = str(Path(__file__).resolve().parents[2])
# Isolated and without site-packages: a worker can load this project and the standard library only.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from service.sandbox.worker import main; main(sys.argv[2], sys.argv[3])"
)
_START_TIMEOUT_S = 30.0
_SEND_TIMEOUT_S = 5.0
_STALL_S = 0.25
_STOPPED = frozenset({"T", "t"})  # by a signal, by a debugger
_PING_S = 1.0
_KNOWN = 1024
_MAX_FRAME_BYTES = 32 * 2**20  # what a worker may have to say, far beyond any honest answer
# Not SIGBUS: a file that shrinks under a worker that has it mapped ends that way.
_FAULTS = frozenset(
    {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL, OUT_OF_MEMORY_EXIT}
)


class WorkerDied(Exception):
    """The process ended before it answered; `exit_code` as in subprocess, negative for a signal."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"exit code {exit_code}")
        self.exit_code = exit_code

    @property
    def by_its_own_fault(self) -> bool:
        """True if the statement brought it down: a fault in the engine, or all memory used."""
        return self.exit_code in _FAULTS


class WorkerLate(Exception):
    """The process did not answer in time; it must be killed.

    `starved` says that its statement did not have that time on the processor.
    """

    def __init__(self, *, starved: bool = False) -> None:
        super().__init__("starved" if starved else "late")
        self.starved = starved

    def answer(self, message: str) -> Frame:
        """In the place of the statement's own: a timeout with that message, or a fault of ours."""
        if self.starved:
            return {"status": "infra_error", "message": STARVED}
        return {"status": "timeout", "message": message}


class WorkerProcess:
    """One warm worker in its own process group."""

    def __init__(self, process: asyncio.subprocess.Process, progress: Progress) -> None:
        self._process = process
        self._progress = progress
        self.engine_version = ""
        self.known: dict[tuple[str, ...], None] = {}
        """What it has open or keeps, as far as the pool was told; the oldest leave first."""
        self._lowered = False
        self._length: int | None = None  # of a frame whose header is read, and whose body is not

    @classmethod
    async def start(cls, limits: Limits) -> "WorkerProcess":
        """A worker that has said it is ready; raises Unavailable if it cannot start."""
        descriptor = shared_descriptor()
        try:
            worker = cls(await _spawn(limits, descriptor), Progress(descriptor))
        finally:
            os.close(descriptor)
        try:
            hello = await worker.receive(_START_TIMEOUT_S)
        except (WorkerDied, WorkerLate) as error:
            await worker.kill()
            raise Unavailable(
                f"a SQL worker process cannot start (exit code {worker.exit_code}); "
                f"is VERISQL_WORKER_MEMORY_MB={limits.memory_mb} enough?"
            ) from error
        except asyncio.CancelledError:
            await asyncio.shield(worker.kill())
            raise
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

    async def answers(self) -> bool:
        """Whether it takes a task and answers, while it has nothing else to do."""
        try:
            await self.send({"op": "ping"})
            return await self.receive_within(_PING_S) is not None
        except WorkerDied:
            return False

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    @property
    def place(self) -> int:
        """The item of its task that it is at, counted from 0."""
        return self._progress.at()

    async def send(self, task: Frame) -> None:
        """Hand over a task; raises WorkerDied, also for a process that does not take it."""
        assert self._process.stdin
        self._progress.move(0)
        try:
            self._process.stdin.write(_encoded(task))
            async with asyncio.timeout(_SEND_TIMEOUT_S):
                await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError, TimeoutError) as error:
            raise await self._death() from error

    async def receive(self, timeout_s: float) -> Frame:
        """The next answer; raises WorkerLate after `timeout_s`, WorkerDied at its end.

        A process that somebody has stopped is as good as dead: its statement did not have the time.
        """
        try:
            return await self._receive(timeout_s)
        except TimeoutError:
            pass
        try:
            # It may have answered in time while this event loop was busy with something else.
            return await self._receive(_STALL_S)
        except TimeoutError as error:
            if self.stopped:
                raise WorkerDied(None) from error
            raise WorkerLate from error

    async def receive_within(self, timeout_s: float) -> Frame | None:
        """The next answer, None after `timeout_s`; raises WorkerDied at its end."""
        try:
            return await self._receive(timeout_s)
        except TimeoutError:
            return None

    def learn(self, keys: Iterable[tuple[str, ...]]) -> None:
        """It is about to open or keep these."""
        for key in keys:
            self.known.pop(key, None)
            self.known[key] = None
        while len(self.known) > _KNOWN:
            del self.known[next(iter(self.known))]

    @property
    def cpu_s(self) -> float:
        """Processor time that it has used, seconds; the clock where that cannot be told."""
        if sys.platform != "linux":
            return time.monotonic()
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # as clock_getcpuclockid(3) makes it
        except OSError:  # it is gone
            return 0.0

    @property
    def stopped(self) -> bool:
        """Somebody has stopped it: it does not run until he lets it go on."""
        return _state(self.pid) in _STOPPED

    def lower_priority(self, nice: int) -> None:
        """Let other processes go first, with 19 every other."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, nice)
            self._lowered = True

    def restore_priority(self) -> bool:
        """Undo lower_priority; False where the system does not let us."""
        if self._lowered:
            try:
                os.setpriority(os.PRIO_PROCESS, self.pid, os.getpriority(os.PRIO_PROCESS, 0))
            except PermissionError:
                return False
            except OSError:
                return True  # it is gone
            self._lowered = False
        return True

    async def _receive(self, timeout_s: float) -> Frame:
        assert self._process.stdout
        try:
            async with asyncio.timeout(timeout_s):
                if self._length is None:
                    header = await self._process.stdout.readexactly(HEADER.size)
                    self._length = HEADER.unpack(header)[0]
                if self._length > _MAX_FRAME_BYTES:
                    raise ValueError(f"a frame of {self._length} bytes")
                body = await self._process.stdout.readexactly(self._length)
            self._length = None
            return _decoded(body)
        except (asyncio.IncompleteReadError, ConnectionResetError, ValueError) as error:
            raise await self._death() from error

    async def _death(self) -> WorkerDied:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STALL_S):
                await self._process.wait()
        return WorkerDied(self.exit_code)

    async def kill(self) -> None:
        """End the process group and reap it; harmless when it is gone."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it has not made its own group yet, or is gone
                with suppress(ProcessLookupError):
                    os.kill(self._process.pid, signal.SIGKILL)
        if self._process.stdin:
            self._process.stdin.close()
        await self._drain()
        await self._process.wait()
        self._progress.close()

    async def _drain(self) -> None:
        """Read what the dead process left: asyncio's wait() lasts until its output has ended, and
        an answer that was too long to be buffered, and is read no more, never ends."""
        assert self._process.stdout
        with suppress(RuntimeError):  # somebody else is reading, and will see the end
            while await self._process.stdout.read(2**16):
                pass


async def _spawn(limits: Limits, descriptor: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _ROOT),
        *(json.dumps(dataclasses.asdict(limits)), str(descriptor)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={},
        cwd="/",
    )


def _encoded(task: Frame) -> bytes:
    try:
        body = orjson.dumps(task)
    except orjson.JSONEncodeError:  # halves of surrogate pairs, which the worker will refuse
        return encode(task)
    return HEADER.pack(len(body)) + body


def _decoded(body: bytes) -> Frame:
    try:
        frame = orjson.loads(body)
    except orjson.JSONDecodeError:  # NaN, or halves of surrogate pairs
        return decode(body)
    if not isinstance(frame, dict):
        raise ValueError("a frame must be a JSON object")
    return frame


def _state(pid: int) -> str:
    """The letter of the process's state in proc(5); empty where /proc does not say."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    return status.rpartition(")")[2].split()[0]
