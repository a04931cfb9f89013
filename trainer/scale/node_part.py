"""A node's part of a run: one process with all that it starts. On Ray this is an actor."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from trainer.scale import with_parent


class NodePart:
    """Starts the part, watches it, ends it; no call waits for it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def address(self) -> tuple[str, int]:
        """This node's address in the cluster, and a port that is free."""
        import ray

        with socket.socket() as found:
            found.bind(("", 0))
            address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
            return address, int(found.getsockname()[1])

    def start(self, command: Sequence[str], log: Path) -> None:
        """Run `command` in the log's folder, its output appended to the log; raises OSError."""
        bound = [sys.executable, "-I", "-S", with_parent.__file__, str(os.getpid()), *command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                bound,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                start_new_session=True,
            )

    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """SIGTERM to its process group."""
        if self._process and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and to all that descends from it, in whatever session."""
        if self._process and self._process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                part = psutil.Process(self._process.pid)
                for process in [*part.children(recursive=True), part]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            self._process.wait()
