"""Who waits for a worker, and who gets the one that is free.

First come, first served, but for a short while a task that finds its database open or its gold kept
goes before one that would have to open and run them anew, and one on a database that no worker has
before one whose database another has.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from service.sandbox.process import WorkerProcess

Known = tuple[str, ...]
_LOOKED_AT = 32  # of those who wait
_HEAD_WAITS_S = 0.25
_LONGEST_PATIENCE_S = 10.0


class Wanted(NamedTuple):
    """What a task would like to find at its worker."""

    path: str
    golds: Known = ()
    """Empty where it brings no gold."""
    gold_s: float = 0.0
    """Seconds that running the gold again costs, as far as is known."""

    @property
    def keys(self) -> tuple[Known, Known]:
        """The database alone, and the database with the golds."""
        return (self.path,), (self.path, *self.golds)


class Waiter:
    """A task in the queue; its future gets the worker."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._database, self._golds = wanted.keys
        self.since = time.monotonic()
        self.worker: asyncio.Future[WorkerProcess] = asyncio.get_running_loop().create_future()

    def fit(self, worker: WorkerProcess) -> int:
        """0 if the worker knows nothing of use, 1 the database, 2 the golds too."""
        known = worker.known
        return (self._database in known) + (len(self._golds) > 1 and self._golds in known)


class Choice(NamedTuple):
    """Who gets which worker, or how long it is better to wait."""

    waiter: Waiter | None
    worker: WorkerProcess | None
    wait_s: float = 0.0


def choose(
    waiting: Iterable[Waiter], idle: Sequence[WorkerProcess], busy: Sequence[WorkerProcess]
) -> Choice:
    """The next waiter and its worker.

    A task whose golds are kept by a busy worker waits for that one as long as running them again
    would take, `wait_s` in the answer says how long; then it takes any.
    """
    now, shortest = time.monotonic(), float("inf")
    head: Choice | None = None
    fresh: Choice | None = None
    for place, waiter in enumerate(waiting):
        if place >= _LOOKED_AT or (head and now - _head(head).since > _HEAD_WAITS_S):
            break
        worker = max(idle, key=waiter.fit)
        fit = waiter.fit(worker)
        elsewhere = max(map(waiter.fit, busy), default=0)
        patience_s = waiter.since + min(waiter.wanted.gold_s, _LONGEST_PATIENCE_S) - now
        if fit < 2 and elsewhere == 2 and patience_s > 0:
            shortest = min(shortest, patience_s)
        elif fit > 0:
            return Choice(waiter, worker)
        else:
            head = head or Choice(waiter, worker)
            fresh = fresh or (None if elsewhere else Choice(waiter, worker))
    return fresh or head or Choice(None, None, shortest)


def _head(choice: Choice) -> Waiter:
    assert choice.waiter
    return choice.waiter
