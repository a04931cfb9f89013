"""Run one read-only SQLite statement within limits. Standard library only; lives in the worker.

What holds, from the inside out: the file is opened read-only and immutable; the authorizer lets
nothing pass but reading (no ATTACH, VACUUM, temporary objects, transactions, extension loading,
PRAGMA writes); the engine caps the length of values and statements; a progress handler stops the
virtual machine at the deadline. A single SQL function can outrun that handler, so the parent kills
the process a little later (process.py).
"""

import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from service.sandbox.limits import WALL_TIMES, Limits
from service.sandbox.result import QueryStatus

_READ_PRAGMAS = frozenset(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list "
    "collation_list function_list compile_options encoding page_count page_size "
    "schema_version user_version data_version".split()
)
_DENIED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
_VOLATILE_FUNCTIONS = frozenset(
    "random randomblob current_date current_time current_timestamp "
    "changes total_changes last_insert_rowid".split()
)
_CLOCK_FUNCTIONS = frozenset("date time datetime julianday unixepoch strftime timediff".split())
_NOW = re.compile(r"['\"]now['\"]|\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)", re.I)
_HANDLER_OPS = 5_000  # virtual machine steps between two looks at the clock, well under 1 ms
_CACHE = 16 * 2**20
_MAPPED = 4 * 2**30  # of one file at most; the rest is read

ENGINE_ERRORS = (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError, OverflowError)
"""What executing and fetching may raise; failure_of turns it into a Failure."""

Reads = set[tuple[str, str]]


class Failure(Exception):
    """A statement that gave no usable result: a value for the caller, raised to leave the rows."""

    def __init__(self, status: QueryStatus, message: str, *, corrupt: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.corrupt = corrupt
        """The database file itself is damaged."""


class Connection:
    """One read-only connection with its deadline."""

    def __init__(self, path: str, limits: Limits, *, lenient_text: bool = False) -> None:
        file_bytes = os.stat(path).st_size
        self.cached_bytes = min(file_bytes, _CACHE)
        self.mapped_bytes = mapped_bytes(file_bytes)
        self._deadline = self._wall_deadline = float("inf")
        self._functions: set[str] = set()
        self.reads: Reads = set()
        """(table, column) pairs that the last statement reads, as the engine resolved them."""
        # No statement cache: the authorizer must see every statement anew.
        self._db = sqlite3.connect(
            f"file:{quote(path)}?mode=ro&immutable=1",
            uri=True,
            isolation_level=None,
            cached_statements=0,
        )
        if lenient_text:
            self._db.text_factory = lambda text: text.decode(errors="ignore")
        _cap(self._db, limits, self.mapped_bytes)
        self._db.set_authorizer(self._authorize)
        self._db.set_progress_handler(self._expired, _HANDLER_OPS)

    def close(self) -> None:
        """Give back the file."""
        self._db.close()

    def execute(self, sql: str, timeout_s: float) -> sqlite3.Cursor:
        """A cursor over the statement's rows; raises ENGINE_ERRORS, also while rows are read.

        `done` must be called when the cursor is no longer needed.
        """
        self._deadline = time.thread_time() + timeout_s
        self._wall_deadline = time.monotonic() + WALL_TIMES * timeout_s
        self.reads.clear()
        self._functions.clear()
        return self._db.execute(sql)

    def done(self) -> None:
        """No statement runs any more."""
        self._deadline = self._wall_deadline = float("inf")

    @contextmanager
    def run(self, sql: str, timeout_s: float) -> Iterator[sqlite3.Cursor]:
        """A cursor over the statement's rows; raises Failure, also while the caller reads them."""
        cursor = None
        try:
            yield (cursor := self.execute(sql, timeout_s))
        except ENGINE_ERRORS as error:
            raise failure_of(error) from None
        finally:
            if cursor is not None:
                cursor.close()
            self.done()

    def volatile(self, sql: str) -> bool:
        """True if the statement that was last run asks for the clock or for chance."""
        if not self._functions:
            return False
        return not self._functions.isdisjoint(_VOLATILE_FUNCTIONS) or bool(_NOW.search(sql))

    def _expired(self) -> bool:
        return time.thread_time() > self._deadline or time.monotonic() > self._wall_deadline

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None
    ) -> int:
        if action == _READ and first:
            self.reads.add((first, second or ""))
            return _OK
        if action in _ALWAYS:
            return _OK
        if action == sqlite3.SQLITE_FUNCTION:
            return self._call((second or "").lower())
        if action == sqlite3.SQLITE_PRAGMA:
            return _OK if (first or "").lower() in _READ_PRAGMAS else _DENY
        if action == sqlite3.SQLITE_UPDATE and (first, schema) == ("sqlite_master", "main"):
            # Asked when a virtual table (json_each, FTS5, R-tree) says what columns it has. A real
            # UPDATE of that table is refused by SQLite itself.
            return _OK
        return _DENY

    def _call(self, name: str) -> int:
        if name in _VOLATILE_FUNCTIONS or name in _CLOCK_FUNCTIONS:
            self._functions.add(name)
        return _DENY if name in _DENIED_FUNCTIONS else _OK


_OK, _DENY, _READ = sqlite3.SQLITE_OK, sqlite3.SQLITE_DENY, sqlite3.SQLITE_READ
_ALWAYS = frozenset({sqlite3.SQLITE_READ, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})


def mapped_bytes(file_bytes: int) -> int:
    """How much of a file of that size is mapped into memory.

    A large one: its pages are then read without copies, and shared between processes.
    """
    return min(file_bytes, _MAPPED) if file_bytes > _CACHE else 0


def _cap(db: sqlite3.Connection, limits: Limits, mapped_bytes: int) -> None:
    for pragma in (
        "temp_store=MEMORY",
        f"cache_size=-{_CACHE // 1024}",
        f"mmap_size={mapped_bytes}",
        "trusted_schema=OFF",
        "query_only=ON",
    ):
        db.execute(f"PRAGMA {pragma}")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_value_bytes)
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.max_sql_bytes)
    db.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    db.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)


_BY_MESSAGE: tuple[tuple[str, QueryStatus], ...] = (
    ("interrupted", "timeout"),
    ("too big", "too_large"),
    ("too large", "too_large"),
    ("not authorized", "forbidden"),
    ("authorization denied", "forbidden"),
    ("prohibited", "forbidden"),
    ("readonly", "forbidden"),
    ("one statement at a time", "forbidden"),
    ("syntax error", "syntax_error"),
    ("incomplete input", "syntax_error"),
    ("unrecognized token", "syntax_error"),
    ("null character", "syntax_error"),
    ("surrogates not allowed", "syntax_error"),
)


_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_OURS = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}) | _CORRUPT


def failure_of(error: Exception) -> Failure:
    """What an error of the engine means; ours where neither gold nor prediction can help it."""
    message = str(error)[:500] or type(error).__name__
    if isinstance(error, MemoryError):
        return Failure("too_large", "the statement needs more memory than a worker may use")
    # The low byte is the primary result code; the rest only says more.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code in _OURS:
        return Failure("infra_error", message, corrupt=code in _CORRUPT)
    found = (status for part, status in _BY_MESSAGE if part in message)
    return Failure(next(found, "exec_error"), message)
