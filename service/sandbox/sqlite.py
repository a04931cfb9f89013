"""Run one read-only SQLite statement within limits. Standard library only; lives in the worker.

What holds, from the inside out: the file is opened read-only and immutable; the authorizer lets
nothing pass but reading (no ATTACH, VACUUM, temporary objects, transactions, extension loading,
PRAGMA writes); the engine caps the length of values and statements; a progress handler stops the
virtual machine at the deadline. A single SQL function can outrun that handler, so the parent kills
the process a little later (process.py).
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

from service.sandbox.limits import Limits
from service.sandbox.result import QueryStatus

_READ_PRAGMAS = frozenset(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list "
    "collation_list function_list compile_options encoding page_count page_size "
    "schema_version user_version data_version".split()
)
_DENIED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
_HANDLER_OPS = 5_000  # virtual machine steps between two looks at the clock, well under 1 ms

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

    def __init__(self, path: str, limits: Limits, db: sqlite3.Connection | None = None) -> None:
        """Open the file at `path`, or lock down `db`, which is open already and then owned here."""
        self._deadline = float("inf")
        self._reads: Reads = set()
        self._db = db or opened(path)
        _cap(self._db, limits)
        self._db.set_authorizer(self._authorize)
        self._db.set_progress_handler(self._expired, _HANDLER_OPS)

    def reverse(self) -> None:
        """From now on, scan in reverse where the statement asks for no order."""
        self._db.set_authorizer(None)
        self._db.execute("PRAGMA reverse_unordered_selects=ON")
        self._db.set_authorizer(self._authorize)

    def close(self) -> None:
        """Give back the file."""
        self._db.close()

    @contextmanager
    def run(self, sql: str, timeout_s: float) -> Iterator[sqlite3.Cursor]:
        """A cursor over the statement's rows; raises Failure, also while the caller reads them."""
        self._deadline = time.monotonic() + timeout_s
        self._reads = set()
        cursor = self._db.cursor()
        try:
            yield cursor.execute(sql)
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError, OverflowError) as error:
            raise failure_of(error) from None
        finally:
            cursor.close()
            self._deadline = float("inf")

    def reads(self) -> Reads:
        """(table, column) pairs that the last statement reads, as the engine resolved them."""
        return self._reads

    def _expired(self) -> bool:
        return time.monotonic() > self._deadline

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, _: str | None
    ) -> int:
        if action == sqlite3.SQLITE_READ and first:
            self._reads.add((first, second or ""))
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_UPDATE and (first, schema) == ("sqlite_master", "main"):
            # Asked when a virtual table (json_each, FTS5, R-tree) says what columns it has. A real
            # UPDATE of that table is refused by SQLite itself.
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_OK if _ALLOWED.get(action, _never)(first, second) else _DENY


def opened(path: str) -> sqlite3.Connection:
    """The file, read-only and immutable; a path of ":memory:" is an empty database of its own."""
    return sqlite3.connect(
        path if path == ":memory:" else f"file:{quote(path)}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,
        # No statement cache: the authorizer must see every statement anew.
        cached_statements=0,
    )


_DENY = sqlite3.SQLITE_DENY


def _never(_first: str | None, _second: str | None) -> bool:
    return False


def _always(_first: str | None, _second: str | None) -> bool:
    return True


_ALLOWED: dict[int, Callable[[str | None, str | None], bool]] = {
    sqlite3.SQLITE_READ: _always,
    sqlite3.SQLITE_SELECT: _always,
    sqlite3.SQLITE_RECURSIVE: _always,
    sqlite3.SQLITE_FUNCTION: lambda _, name: (name or "").lower() not in _DENIED_FUNCTIONS,
    sqlite3.SQLITE_PRAGMA: lambda name, _: (name or "").lower() in _READ_PRAGMAS,
}


def _cap(db: sqlite3.Connection, limits: Limits) -> None:
    for pragma in ("temp_store=MEMORY", "cache_size=-16384", "trusted_schema=OFF", "query_only=ON"):
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
