"""Become a command that is killed as soon as its parent is gone: with_parent.py PARENT COMMAND...

A part of a run must not outlive the process that answers for it on its node: nobody could find it
again. Linux only; elsewhere the command simply runs. Standard library only, for speed.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """From now on this process gets SIGKILL when `parent` ends; ends at once if it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def main(arguments: list[str]) -> None:
    """Bind to the parent, then exec."""
    parent, *command = arguments
    die_with(int(parent))
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted.


if __name__ == "__main__":
    main(sys.argv[1:])
