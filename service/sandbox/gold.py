"""Gold results that a worker keeps, least recently used leaving first. Standard library only."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from service.sandbox.limits import Limits
from service.sandbox.sqlite import ENGINE_ERRORS, Connection, Failure, failure_of
from service.text2sql.compare.rows import GoldRows

_BATCH = 1024


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
    elapsed_ms: float


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

    def keep(self, key: Key, gold: Gold) -> None:
        """Keep it, and let go of the oldest ones over the bound."""
        self._kept[key] = gold
        self._bytes += gold.rows.size
        while self._bytes > self._limits.max_gold_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].rows.size


def run_gold(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> GoldRows:
    """All rows of a gold; raises Failure."""
    try:
        cursor = connection.execute(sql, timeout_s)
        rows, size = _read(cursor, limits)
        if cursor.description is None:
            raise Failure("no_sql", "the gold is empty")
        return GoldRows(sql, len(cursor.description), rows, size)
    except ENGINE_ERRORS as error:
        raise failure_of(error) from None
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
