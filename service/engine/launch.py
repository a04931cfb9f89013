"""Keep a model server as long as its owner lives. Standard library only; run as a script:

    python -I launch.py OWNER_PID GRACE_S COMMAND...

The server and whatever it starts share this process's group. The group is ended (SIGTERM, then
SIGKILL after the grace) when the owner dies, however it dies, or when this process gets SIGTERM.
If the server ends by itself, this process ends with its exit code, and the owner sweeps the group.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

_LOOK_S = 0.3


class _Stop(Exception):
    """SIGTERM arrived."""


def main(owner: int, grace_s: float, command: list[str]) -> int:
    """Run the command until it ends, the owner is gone, or SIGTERM; gives the exit code."""
    signal.signal(signal.SIGTERM, _raise_stop)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while os.getppid() == owner:
            try:
                return _shell_code(server.wait(timeout=_LOOK_S))
            except subprocess.TimeoutExpired:
                continue
    except _Stop:
        pass
    return _end_group(server, grace_s)


def _raise_stop(_signal: int, _frame: FrameType | None) -> None:
    raise _Stop


def _shell_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _end_group(server: "subprocess.Popen[bytes]", grace_s: float) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    # The last act: this process is in the group too.
    os.killpg(0, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
