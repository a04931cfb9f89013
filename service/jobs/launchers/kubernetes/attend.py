"""The first program in a trainer's container: it starts the trainer and attends it to its end.

Run as `python -m service.jobs.launchers.kubernetes.attend --log FILE -- COMMAND...`. The first
process of a container gets no signal that it does not catch, so the trainer is its child: SIGTERM
and SIGINT are passed on to it, and it ends with the trainer's code (128 and the number for a
signal). A trainer that saved and left since it was told to has not succeeded: else the cluster
would call a run complete whose machine it took away.

What the trainer prints goes to the container's output, where the cluster looks, and to FILE in the
run's folder, where the service does; with several nodes only node 0 writes the file. Standard
library only, for speed.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

PIECE_BYTES = 65_536
_DRAIN_S = 5.0
_SIGNAL = 128
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the code to end with."""
    parser = argparse.ArgumentParser(prog="attend", description=__doc__)
    parser.add_argument("--log", type=Path, required=True, help="file that the output is added to")
    parser.add_argument("--rank", type=int, default=0, help="number of this node")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    told: list[int] = []
    child = _start(given.command, told)
    log = _opened(given.log) if given.rank == 0 else None
    copier = threading.Thread(target=_copy, args=(child, log), daemon=True)
    copier.start()
    code = child.wait()
    # What the trainer left behind may hold its output open; it ends with the container.
    copier.join(_DRAIN_S)
    if code == 0 and told:
        return _SIGNAL + told[0]
    return _SIGNAL - code if code < 0 else code


def _start(command: Sequence[str], told: list[int]) -> subprocess.Popen[bytes]:
    """`told` gets every signal that arrives."""
    started: list[subprocess.Popen[bytes]] = []
    waiting: deque[int] = deque()

    def deliver() -> None:
        while started and waiting:
            started[0].send_signal(waiting.popleft())

    def pass_on(number: int, _frame: Any) -> None:
        told.append(number)
        waiting.append(number)
        deliver()

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    deliver()  # What came before there was anyone to pass it on to.
    return started[0]


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("ab", buffering=0)
    except OSError as error:
        sys.stderr.write(f"attend: {path} cannot be written: {error}\n")
        return None


def _copy(child: subprocess.Popen[bytes], log: IO[bytes] | None) -> None:
    while child.stdout and (piece := os.read(child.stdout.fileno(), PIECE_BYTES)):
        # A full disk must not stop a run that may still save itself.
        with suppress(OSError):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        if log is not None:
            with suppress(OSError):
                log.write(piece)


if __name__ == "__main__":
    sys.exit(main())
