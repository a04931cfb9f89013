"""The worker process: one task in, answers out, again and again. Standard library only.

Started by process.py with an empty environment. It can write no file (RLIMIT_FSIZE 0), use no more
memory than its share, gain no rights, and ends with its parent. Where the machine runs out of
memory, the kernel takes a worker before it takes the service. Answers leave in batches: one frame
for many quick statements.
"""

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from service.sandbox import engine, frames
from service.sandbox.limits import OUT_OF_MEMORY_EXIT, Limits
from service.sandbox.memory import give_back, keep_little
from service.sandbox.progress import Progress
from service.sandbox.tasks import Tasks

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_LONG_S = 0.05  # such a task may have used much memory, and does not mind a millisecond more
BATCH_S = 0.005
"""Answers that are older than this, seconds, are sent before the next statement starts."""
# Only the parent of a group can tell which item was running (judging.py); of these it wants each
# answer at once. Everything else has one answer.
_HOLD_S = {"verify": BATCH_S, "examine": 0.0, "robust": 0.0}


def main(limits_json: str, progress_descriptor: str) -> None:
    """Serve tasks from standard input until it closes."""
    limits = Limits(**json.loads(limits_json))
    progress = Progress(int(progress_descriptor))
    os.close(int(progress_descriptor))
    inbox, outbox = _claim_standard_streams()
    _confine(limits)
    keep_little()
    engine.settle()
    gc.freeze()
    gc.set_threshold(50_000)  # rows are many, cycles are few
    try:
        _serve(Tasks(limits), progress, inbox, outbox)
    except MemoryError:
        os._exit(OUT_OF_MEMORY_EXIT)  # at once: there may be no memory to clean up with


def _serve(tasks: Tasks, progress: Progress, inbox: BinaryIO, outbox: BinaryIO) -> None:
    _send(outbox, tasks.hello())
    while (task := frames.read(inbox)) is not None:
        start = time.monotonic()
        _answer(tasks.run(task), progress, outbox, _HOLD_S.get(task["op"], float("inf")))
        if time.monotonic() - start > _LONG_S:
            give_back()


def _answer(
    answers: Iterator[frames.Frame], progress: Progress, outbox: BinaryIO, hold_s: float
) -> None:
    """Send every answer; what the iterator works on between two of them is one item."""
    batch: list[frames.Frame] = []
    sent = time.monotonic()
    for done, answer in enumerate(answers, start=1):
        progress.move(done)
        batch.append(answer)
        if time.monotonic() - sent >= hold_s:
            _send(outbox, {"answers": batch})
            batch, sent = [], time.monotonic()
    _send(outbox, {"answers": batch, "end": True})


def _claim_standard_streams() -> tuple[BinaryIO, BinaryIO]:
    # Anything that prints by accident must not land between two frames.
    outbox = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return sys.stdin.buffer, outbox


def _confine(limits: Limits) -> None:
    # A group of its own, so that it can be killed as one. Not a session of its own: where the
    # kernel groups processes by session for scheduling, priorities hold within one only.
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        control = ctypes.CDLL(None).prctl
        control(_PR_SET_PDEATHSIG, signal.SIGKILL)
        control(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
        # The soft limit alone: files that are mapped get address space on top (connections.py).
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (_least(limits.memory_mb * 2**20, hard), hard))
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, 512)


def _lower(kind: int, value: int) -> None:
    bound = _least(value, resource.getrlimit(kind)[1])
    resource.setrlimit(kind, (bound, bound))


def _least(value: int, hard: int) -> int:
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _send(outbox: BinaryIO, answer: frames.Frame) -> None:
    view = memoryview(frames.encode(answer))
    while view:
        view = view[outbox.write(view) or 0 :]
