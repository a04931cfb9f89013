"""Keep processes from the processor: pin them to one, with busy ones beside them."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

_OTHERS = 12
_BUSY = "print(flush=True)\nwhile True: pass"


@contextmanager
def crowded(pids: Iterable[int]) -> Iterator[None]:
    """While it lasts these processes get a thirteenth of one processor, together. Linux only."""
    processor = {min(os.sched_getaffinity(0))}
    with ExitStack() as stack:
        for _ in range(_OTHERS):
            busy = subprocess.Popen([sys.executable, "-c", _BUSY], stdout=subprocess.PIPE)
            stack.enter_context(busy)
            stack.callback(busy.kill)
            assert busy.stdout
            busy.stdout.readline()
            os.sched_setaffinity(busy.pid, processor)
        for pid in pids:
            os.sched_setaffinity(pid, processor)
        yield
