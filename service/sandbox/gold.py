"""Gold results that a worker keeps, least recently used leaving first. Standard library only."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from service.sandbox.limits import Limits
from service.sandbox.sqlite import Failure
from service.text2sql.compare.rows import GoldRows

Key = tuple[str, str, str]
_BATCH = 1024


class GoldCache:
    """Kept by (path, version of the file, SQL); bounded by Limits.max_gold_bytes in all."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept: OrderedDict[Key, GoldRows] = OrderedDict()
        self._bytes = 0

    def get(
        self, key: Key, run: Callable[[], AbstractContextManager[sqlite3.Cursor]], sql: str
    ) -> tuple[GoldRows, bool]:
        """The gold's rows and whether they were kept from before; raises Failure."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key], True
        with run() as cursor:
            rows, size = _read(cursor, self._limits)
            if cursor.description is None:
                raise Failure("no_sql", "the gold is empty")
            gold = GoldRows(sql, len(cursor.description), rows, size)
        self._keep(key, gold)
        return gold, False

    def _keep(self, key: Key, gold: GoldRows) -> None:
        self._kept[key] = gold
        self._bytes += gold.size
        while self._bytes > self._limits.max_gold_bytes and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].size


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
