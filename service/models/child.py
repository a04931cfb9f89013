"""Run a Python module in a child process that can be stopped and does not outlive its parent."""

import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

POLL_S = 0.1
STOP_GRACE_S = 5.0
_ROOT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """The child exited with another code than 0; the text is the last line that it wrote."""


class Stopped(Exception):
    """The caller asked to stop; the child is gone."""


def run_module(
    module: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
    tick: Callable[[], None] | None = None,
    tick_s: float = 5.0,
    timeout_s: float | None = None,
) -> str:
    """Run `python -m module args` to its end and return its standard output.

    `tick` is called every `tick_s` seconds. Raises ChildFailed with the child's last line or once
    `timeout_s` is over, and Stopped once `stop` is set.
    """
    # -P: a folder named `service` where the user happens to stand must not shadow this package.
    argv = [sys.executable, "-P", "-m", "service.models.child", module, *args]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # The pipe is what _leave_with_parent watches.
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=out, stderr=err, env=_environment(env)
        )
        try:
            _wait(child, stop, _Clock(tick, tick_s, timeout_s))
        finally:
            _end(child)
        if child.returncode:
            raise ChildFailed(_last_line(err) or f"exit code {child.returncode}")
        return _text(out)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(extra or {})}


def _wait(child: "subprocess.Popen[bytes]", stop: threading.Event | None, clock: "_Clock") -> None:
    while child.poll() is None:
        if stop is not None and stop.is_set():
            raise Stopped
        clock.look()
        time.sleep(POLL_S)


class _Clock:
    """Calls `tick` when it is due and ends the wait at the deadline."""

    def __init__(
        self, tick: Callable[[], None] | None, tick_s: float, timeout_s: float | None
    ) -> None:
        now = time.monotonic()
        self._tick, self._tick_s, self._due = tick, tick_s, now + tick_s
        self._timeout_s = timeout_s
        self._deadline = now + timeout_s if timeout_s is not None else None

    def look(self) -> None:
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline:
            raise ChildFailed(f"no answer within {self._timeout_s:g} s")
        if self._tick and now >= self._due:
            self._tick()
            self._due += self._tick_s


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdin:
        child.stdin.close()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _last_line(file: IO[bytes]) -> str:
    # Progress bars end their lines with a carriage return alone.
    lines = [line.strip() for line in _text(file).replace("\r", "\n").split("\n")]
    return next((line for line in reversed(lines) if line), "")


def _leave_with_parent() -> None:
    threading.Thread(target=_watch_stdin, daemon=True).start()


def _watch_stdin() -> None:
    # Not sys.stdin: its lock would be held at a normal exit of the interpreter.
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    _leave_with_parent()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
