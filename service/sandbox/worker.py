"""The worker process: one task in, answers out, again and again. Standard library only.

Started by process.py with an empty environment. It can write no file (RLIMIT_FSIZE 0), use no more
memory than its share, and ends with its parent.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import BinaryIO

from service.sandbox import frames
from service.sandbox.limits import Limits
from service.sandbox.tasks import Tasks

_PR_SET_PDEATHSIG = 1


def main(limits_json: str) -> None:
    """Serve tasks from standard input until it closes."""
    limits = Limits(**json.loads(limits_json))
    inbox, outbox = _claim_standard_streams()
    _confine(limits)
    tasks = Tasks(limits)
    _send(outbox, tasks.hello())
    while (task := frames.read(inbox)) is not None:
        for answer in tasks.run(task):
            _send(outbox, answer)


def _claim_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    # Anything that prints by accident must not land between two frames.
    outbox = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return sys.stdin.buffer, outbox


def _confine(limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _lower(resource.RLIMIT_AS, limits.memory_mb * 2**20)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, 64)


def _lower(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _send(outbox: BinaryIO, answer: frames.Frame) -> None:
    view = memoryview(frames.encode(answer))
    while view:
        view = view[outbox.write(view) or 0 :]
