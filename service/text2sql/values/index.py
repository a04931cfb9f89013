"""Value retrieval: which of a database's own text values a question names, and in which columns.

The values of a database are read once through the sandbox and indexed (table.py); the index
is kept in memory and in a sealed file (store.py), and is made again when the database's hash
is another. Nothing here ever fails a question: without an index there are no values, and a warning.
"""

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from service.errors import DatabaseUnusable, VeriSQLError
from service.text2sql.databases import Database
from service.text2sql.schema import Queries, Schema
from service.text2sql.values.find import find_values
from service.text2sql.values.match import ValueMatch
from service.text2sql.values.names import Names
from service.text2sql.values.read import LeftOut, ReadLimits, read_values
from service.text2sql.values.store import ValueStore
from service.text2sql.values.table import ValueTable, build_table, has_trigrams

_LOG = logging.getLogger(__name__)
_RETRY_S = 60.0
"""After a build that failed, the next one waits so long, seconds."""
_FAILURES = (VeriSQLError, sqlite3.Error, OSError, MemoryError)

_TRANSIENT = frozenset({"slow", "unreadable"})
"""Why a column may be missing that is there the next time."""

Key = tuple[str, str]
"""db_id and SHA-256 of the file."""


class _Index(NamedTuple):
    table: ValueTable
    names: Names


class _Making(NamedTuple):
    task: asyncio.Task[None]
    patience_ends: float
    """By time.monotonic(): from then on questions go without values until it is done."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index was made of, when it was made by this process and not read from a file."""

    columns: int
    values: int
    left_out: tuple[LeftOut, ...]
    """Columns of which values are missing, and why."""
    elapsed_s: float


class ValueIndexes:
    """The indexes of all databases. Those used last stay in memory, within `memory_bytes`.

    Questions wait until an index has been in the making for `wait_s` seconds; after that they get
    no values, and the making goes on. Who needs the same answer every time gives a `wait_s` that is
    long enough.
    """

    def __init__(
        self,
        home: Path,
        folder: Path | None = None,
        *,
        wait_s: float = 2.0,
        limits: ReadLimits = ReadLimits(),  # noqa: B008 - frozen
        memory_bytes: int = 256 * 2**20,
    ) -> None:
        self._store = ValueStore(home, folder)
        self._wait_s = wait_s
        self._limits = limits
        self._memory_bytes = memory_bytes
        self._kept: OrderedDict[Key, _Index] = OrderedDict()
        self._making: dict[Key, _Making] = {}
        self._retry_at: dict[Key, float] = {}
        self._reports: dict[Key, IndexReport] = {}
        self._trigrams = has_trigrams()
        if not self._trigrams:
            _LOG.warning("this SQLite has no FTS5 trigrams: misspelt values are not found")

    async def find(
        self,
        executor: Queries,
        database: Database,
        sha256: str,
        schema: Schema,
        text: str,
        *,
        limit: int = 10,
    ) -> list[ValueMatch]:
        """Values that `text` (question and evidence) names: at most `limit`, best first.

        Never raises on behalf of the database, the index or the disk: then there are no values.
        """
        index = await self._index(executor, database, sha256, schema)
        if index is None or limit < 1:
            return []
        try:
            return await asyncio.to_thread(find_values, index.table, index.names, text, limit)
        except _FAILURES as error:
            _LOG.warning("no values of %r: %s", database.db_id, error)
            return []

    def report(self, database: Database, sha256: str) -> IndexReport | None:
        """What the index of that file was made of; None where it came from a file, or is none."""
        return self._reports.get((database.db_id, sha256))

    async def close(self) -> None:
        """Stop making indexes."""
        making = [making.task for making in self._making.values()]
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    async def _index(
        self, executor: Queries, database: Database, sha256: str, schema: Schema
    ) -> _Index | None:
        key = (database.db_id, sha256)
        if key not in self._kept and time.monotonic() >= self._retry_at.get(key, 0.0):
            if key not in self._making:
                task = asyncio.create_task(self._make(executor, database, sha256, schema))
                self._making[key] = _Making(task, time.monotonic() + self._wait_s)
                task.add_done_callback(partial(self._made, key))
            task, patience_ends = self._making[key]
            # Only waited for, not cancelled with this question: others may wait for it too.
            await asyncio.wait([task], timeout=max(0.0, patience_ends - time.monotonic()))
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _made(self, key: Key, task: asyncio.Task[None]) -> None:
        self._making.pop(key, None)
        if not task.cancelled() and (error := task.exception()):
            self._retry_at[key] = time.monotonic() + _RETRY_S
            _LOG.warning("no index of the values of %r: %s", key[0], error)

    async def _make(
        self, executor: Queries, database: Database, sha256: str, schema: Schema
    ) -> None:
        image = await asyncio.to_thread(self._store.read, database, sha256)
        if image is None:
            image = await self._build(executor, database, sha256, schema)
        table = await asyncio.to_thread(ValueTable, image)
        self._kept[database.db_id, sha256] = _Index(table, Names.of(schema))
        while len(self._kept) > 1 and self._held() > self._memory_bytes:
            self._kept.popitem(last=False)

    async def _build(
        self, executor: Queries, database: Database, sha256: str, schema: Schema
    ) -> bytes:
        start = time.monotonic()
        values = await read_values(executor, database, schema, self._limits)
        image = await asyncio.to_thread(build_table, values, trigrams=self._trigrams)
        if await asyncio.to_thread(_sha256, database.path) != sha256:
            raise DatabaseUnusable("the file was replaced while its values were read")
        self._reports[database.db_id, sha256] = IndexReport(
            columns=len(values.columns),
            values=sum(len(column.values) for column in values.columns),
            left_out=values.left_out,
            elapsed_s=round(time.monotonic() - start, 3),
        )
        # What was missed for want of time may be read the next time: that is kept in memory only.
        if _TRANSIENT.isdisjoint(column.reason for column in values.left_out):
            await asyncio.to_thread(self._store.write, database, sha256, image)
        return image

    def _held(self) -> int:
        return sum(index.table.size for index in self._kept.values())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
