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
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from service.sandbox.limits import STARVED, Limits, by_clock_s
from service.sandbox.result import QueryStatus

_PRAGMAS_OF_A_NAME = frozenset(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list".split()
)
_PRAGMAS_ALONE = frozenset(  # with an argument some of them write
    "collation_list function_list compile_options encoding page_count page_size "
    "schema_version user_version data_version".split()
)
_DENIED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
_VOLATILE_FUNCTIONS = frozenset(
    "random randomblob current_date current_time current_timestamp "
    "changes total_changes last_insert_rowid".split()
)
_CLOCK_FUNCTIONS = frozenset("date time datetime julianday unixepoch strftime timediff".split())
_NOW = re.compile(
    r"""['"](?:now|subsec(?:ond)?)['"]|\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)"""
    r"""|\bstrftime\s*\(\s*'[^']*'\s*\)""",
    re.IGNORECASE,
)
_HANDLER_OPS = 5_000  # virtual machine steps between two looks at the clock, well under 1 ms
_CACHE = 2 * 2**20  # SQLite's own default for one connection; more is slower on large files
_LARGE_FILE = 16 * 2**20
_MAPPED = 4 * 2**30  # of one file at most; the rest is read

ENGINE_ERRORS = (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError, OverflowError)
"""What executing and fetching may raise; Connection.failure turns it into a Failure."""

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

    def __init__(
        self,
        path: str,
        limits: Limits,
        db: sqlite3.Connection | None = None,
        *,
        lenient_text: bool = False,
    ) -> None:
        """Open the file at `path`, or lock down `db`, which is open already and then owned here."""
        file_bytes = 0 if db else size_of(path)
        self.cached_bytes = min(file_bytes, _CACHE)
        self.mapped_bytes = mapped_bytes(file_bytes)
        self._deadline = self._wall_deadline = float("inf")
        self._starved = False
        self._functions: set[str] = set()
        self.reads: Reads = set()
        """(table, column) pairs that the last statement reads, as the engine resolved them."""
        self._db = db or opened(path)
        if lenient_text:
            self._db.text_factory = lambda text: text.decode(errors="ignore")
        _cap(self._db, limits, self.mapped_bytes)
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

    def execute(self, sql: str, timeout_s: float) -> sqlite3.Cursor:
        """A cursor over the statement's rows; raises ENGINE_ERRORS, also while rows are read.

        `done` must be called when the cursor is no longer needed.
        """
        self._deadline = time.thread_time() + timeout_s
        self._wall_deadline = time.monotonic() + by_clock_s(timeout_s)
        self._starved = False
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
            raise self.failure(error) from None
        finally:
            if cursor is not None:
                cursor.close()
            self.done()

    def volatile(self, sql: str) -> bool:
        """True if the statement that was last run asks for the clock or for chance."""
        if not self._functions:
            return False
        return not self._functions.isdisjoint(_VOLATILE_FUNCTIONS) or bool(_NOW.search(sql))

    def failure(self, error: Exception) -> Failure:
        """What an error of the last statement means; ours where it ended by the clock alone."""
        failure = failure_of(error)
        if failure.status == "timeout" and self._starved:
            return Failure("infra_error", STARVED)
        return failure

    def _expired(self) -> bool:
        if time.thread_time() > self._deadline:
            return True
        self._starved = time.monotonic() > self._wall_deadline
        return self._starved

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
            return _OK if _pragma_reads((first or "").lower(), second) else _DENY
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


def opened(path: str) -> sqlite3.Connection:
    """The file, read-only and immutable; a path of ":memory:" is an empty database of its own."""
    return sqlite3.connect(
        path if path == ":memory:" else f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1",
        uri=True,
        isolation_level=None,
        # No statement cache: the authorizer must see every statement anew.
        cached_statements=0,
    )


def size_of(path: str) -> int:
    """Bytes of the database file; raises Failure if it is gone or no file."""
    # To open a pipe would wait for its writer, out of reach of any deadline but the parent's.
    try:
        found = os.stat(path)
    except OSError as error:
        raise Failure("infra_error", f"the database file is gone: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise Failure("infra_error", "the database is not a file", corrupt=True)
    return found.st_size


def mapped_bytes(file_bytes: int) -> int:
    """How much of a file of that size is mapped into memory.

    A large one: its pages are then read without copies, and shared between processes.
    """
    return min(file_bytes, _MAPPED) if file_bytes > _LARGE_FILE else 0


def _pragma_reads(name: str, argument: str | None) -> bool:
    return name in _PRAGMAS_OF_A_NAME or (name in _PRAGMAS_ALONE and argument is None)


# The engine's own defaults, so that a verdict does not depend on how its library was built. Not the
# number of variables: full-text tables need some for themselves.
_ENGINE_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
    sqlite3.SQLITE_LIMIT_COLUMN: 2000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 127,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50_000,
}


def _cap(db: sqlite3.Connection, limits: Limits, mapped_bytes: int) -> None:
    pragmas = ["temp_store=MEMORY", "trusted_schema=OFF"]
    if mapped_bytes:
        pragmas.append(f"mmap_size={mapped_bytes}")
    for pragma in [*pragmas, "query_only=ON"]:
        db.execute(f"PRAGMA {pragma}")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_value_bytes)
    db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, limits.max_sql_bytes)
    for kind, bound in _ENGINE_LIMITS.items():
        db.setlimit(kind, bound)


_BY_CODE: dict[int, QueryStatus] = {
    sqlite3.SQLITE_INTERRUPT: "timeout",
    sqlite3.SQLITE_TOOBIG: "too_large",
    sqlite3.SQLITE_NOMEM: "too_large",
    sqlite3.SQLITE_AUTH: "forbidden",
    sqlite3.SQLITE_READONLY: "forbidden",
    sqlite3.SQLITE_IOERR: "infra_error",
    sqlite3.SQLITE_CANTOPEN: "infra_error",
    sqlite3.SQLITE_CORRUPT: "infra_error",
    sqlite3.SQLITE_NOTADB: "infra_error",
}
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# What has no code of its own. A message may hold any name that the statement gives, so only its
# fixed beginning or end is looked at.
_BY_MESSAGE: tuple[tuple[str, str, QueryStatus], ...] = (
    ("near ", ": syntax error", "syntax_error"),
    ("incomplete input", "", "syntax_error"),
    ("unrecognized token: ", "", "syntax_error"),
    ("the query contains a null character", "", "syntax_error"),
    ("'utf-8' codec can't encode ", "", "syntax_error"),
    ("You can only execute one statement at a time", "", "forbidden"),
    ("not authorized", "", "forbidden"),
    ("unsafe use of ", "", "forbidden"),
    ("table ", " may not be modified", "forbidden"),
    ("Expression tree is too large", "", "too_large"),
    ("query string is too large", "", "too_large"),
)


def failure_of(error: Exception) -> Failure:
    """What an error of the engine means; ours where neither gold nor prediction can help it."""
    message = str(error)
    shown = message[:500] or type(error).__name__
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if isinstance(error, MemoryError) or extended == sqlite3.SQLITE_IOERR_NOMEM:
        return Failure("too_large", "the statement needs more memory than a worker may use")
    code = extended & 0xFF  # the primary result code; the rest only says more
    status = _BY_CODE.get(code) or _status_of(message)
    return Failure(status, shown, corrupt=code in _CORRUPT)


def _status_of(message: str) -> QueryStatus:
    for start, end, status in _BY_MESSAGE:
        if message.startswith(start) and message.endswith(end):
            return status
    return "exec_error"
