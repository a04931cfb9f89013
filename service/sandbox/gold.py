"""Gold results that a worker keeps, least recently used leaving first. Standard library only."""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from service.sandbox.limits import Limits
from service.sandbox.sqlite import ENGINE_ERRORS, Connection, Failure
from service.sandbox.ties import limit_cuts_ties
from service.text2sql.compare.rows import GoldRows

_BATCH = 1024
_TIES_AT_LEAST_S, _TIES_TIMES = 1.0, 4.0  # time to look for ties: two more runs, and some room


class Key(NamedTuple):
    """What a kept gold belongs to: one version of a file, one text, one way to decode text."""

    path: str
    version: str
    sql: str
    lenient_text: bool = False


class Gold(NamedTuple):
    """A gold result and what is known of the statement."""

    rows: GoldRows
    volatile: bool
    """It asks for the clock or for chance."""
    tied: bool | None
    """Its rows depend on how ties at a LIMIT are broken; None if that is not known."""
    reads: bool
    """It reads a table."""
    elapsed_ms: float

    @property
    def unsteady(self) -> bool:
        """Another run might give other rows."""
        return self.volatile or bool(self.tied)


class GoldCache:
    """Kept golds, bounded by Limits.max_gold_bytes in all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[Key, Gold] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> Gold | None:
        """The gold if it is kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def forget_but(self, used: Collection[Key]) -> bool:
        """Let go of all others, where memory is short; False if there are none."""
        others = [key for key in self._kept if key not in used]
        for key in others:
            self._bytes -= self._kept.pop(key).rows.size
        return bool(others)

    def keep(self, key: Key, gold: Gold) -> None:
        """Keep it, and let go of the oldest ones over the bound."""
        self._kept[key] = gold
        self._bytes += gold.rows.size
        while self._bytes > self._limits.max_gold_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].rows.size


def run_gold(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> Gold:
    """All rows of a gold, and whether they are the only ones it could give; raises Failure."""
    start, start_cpu_s = time.monotonic(), time.thread_time()
    rows = _rows(connection, sql, timeout_s, limits)
    elapsed_s, used_s = time.monotonic() - start, time.thread_time() - start_cpu_s
    volatile = connection.volatile(sql)
    reads = bool(connection.reads)
    left_s = min(timeout_s - elapsed_s, _TIES_AT_LEAST_S + _TIES_TIMES * used_s)
    shape = (rows.columns, len(rows.rows))
    tied = limit_cuts_ties(connection, sql, shape, left_s, limits)
    return Gold(rows, volatile, tied, reads, elapsed_s * 1000)


def _rows(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> GoldRows:
    try:
        cursor = connection.execute(sql, timeout_s)
        rows, size = _read(cursor, limits)
        if cursor.description is None:
            raise Failure("no_sql", "the gold is empty")
        return GoldRows(sql, len(cursor.description), rows, size)
    except ENGINE_ERRORS as error:
        raise connection.failure(error) from None
    finally:
        connection.done()


def _read(cursor: sqlite3.Cursor, limits: Limits) -> tuple[list[tuple[Any, ...]], int]:
    """All rows and their approximate size in bytes."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    while batch := cursor.fetchmany(_BATCH):
        rows += batch
        size += sum(map(_size, batch))
        if len(rows) > limits.max_gold_rows or size > limits.max_gold_bytes:
            raise Failure("too_large", f"the gold's result is too large ({len(rows)} rows so far)")
    return rows, size


def _size(row: Iterable[Any]) -> int:
    # A tuple slot, its object's header and hash-set share, and the text itself.
    return 64 + sum(72 + len(v) if isinstance(v, str | bytes) else 64 for v in row)
