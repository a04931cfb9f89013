"""The worker process: one task in, answers out, again and again. Standard library only.

Started by process.py with an empty environment. It can write no file (RLIMIT_FSIZE 0), use no more
memory than its share, gain no rights, and ends with its parent. Where the machine runs out of
memory, the kernel takes a worker before it takes the service.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import BinaryIO

from service.sandbox import frames
from service.sandbox.limits import OUT_OF_MEMORY_EXIT, Limits
from service.sandbox.memory import give_back, keep_little
from service.sandbox.tasks import Tasks

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LONG_S = 0.05  # such a task may have used much memory, and does not mind a millisecond more


def main(limits_json: str) -> None:
    """Serve tasks from standard input until it closes."""
    limits = Limits(**json.loads(limits_json))
    inbox, outbox = _claim_standard_streams()
    _confine(limits)
    keep_little()
    try:
        _serve(Tasks(limits), inbox, outbox)
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT)  # at once: there may be no memory to clean up with


def _serve(tasks: Tasks, inbox: BinaryIO, outbox: BinaryIO) -> None:
    _send(outbox, tasks.hello())
    while (task := frames.read(inbox)) is not None:
        start = time.monotonic()
        for answer in tasks.run(task):
            _send(outbox, answer)
        if time.monotonic() - start > _LONG_S:
            give_back()


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
        control = ctypes.CDLL(None).prctl
        control(_PR_SET_PDEATHSIG, signal.SIGKILL)
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
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
