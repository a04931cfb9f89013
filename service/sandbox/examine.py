"""Run one gold several times and ways, and say what can be said of it. Standard library only.

Lives in the worker. Two answers go out: `run`, what the statement as it is gave, and `checks`,
whether its rows depend on chance, on the clock, on the order in which rows are read or stored, or
on how ties at a LIMIT are broken. So the parent knows which of the two a worker died in.

Results are compared as bags of rows with numbers at 9 significant digits: the last bits of a sum
depend on the order of adding, which says nothing about the gold. Rows are hashed as they stream,
so memory does not grow with the result.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from service.sandbox.backwards import stored_backwards
from service.sandbox.clock import reads_clock
from service.sandbox.frames import Frame
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure, failure_of
from service.text2sql.sqltext import orders_rows
from service.text2sql.ties import order_variants

_RANDOM = ("random", "randomblob")
_BATCH = 512
_SAMPLED = 50  # first rows that are kept, to show one that differs
_SHOWN = 200  # characters of a shown row
_MODULUS = 2**128
_VERBS = {
    sqlite3.SQLITE_DELETE: "DELETE",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_PRAGMA: "PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "a transaction",
    sqlite3.SQLITE_FUNCTION: "the function",
}


class ExaminedConnection(Connection):
    """A connection that notes which functions are called and what it first refused."""

    def __init__(self, path: str, limits: Limits, *, reverse: bool = False) -> None:
        self.functions: set[str] = set()
        self.refused = ""
        super().__init__(path, limits)
        if reverse:
            self._db.set_authorizer(None)
            self._db.execute("PRAGMA reverse_unordered_selects = ON")
            self._db.set_authorizer(self._authorize)

    def read_instead(self, content: bytes) -> None:
        """Read these bytes of a database from now on, under the same rules and limits."""
        self._db.set_authorizer(None)
        self._db.deserialize(content)
        self._db.set_authorizer(self._authorize)

    def asks_for_rowids(self) -> bool:
        """True if the last statement reads a rowid: then the order of storage is data too."""
        return any(column == "ROWID" for _, column in self.reads())

    def tables(self) -> list[str]:
        """Tables and views of the file that the last statement reads, sorted.

        The engine also names what a statement makes up itself (WITH, json_each): left out here.
        """
        # The last pair is what the engine reads itself, when json_each says what columns it has.
        read = {table.lower() for table, _ in self.reads() - {("sqlite_master", "ROWID")}}
        with self.run("SELECT name FROM sqlite_master", 10.0) as cursor:
            known = [str(name) for (name,) in cursor if name]
        return sorted(name for name in {*known, "sqlite_master"} if name.lower() in read)

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, by: str | None
    ) -> int:
        if action == sqlite3.SQLITE_FUNCTION and second:
            self.functions.add(second.lower())
        answer = super()._authorize(action, first, second, schema, by)
        if answer != sqlite3.SQLITE_OK and not self.refused:
            self.refused = _refused(action, first, second)
        return answer


def _refused(action: int, first: str | None, second: str | None) -> str:
    """What was refused, in words: `DELETE Pets`."""
    if action not in _VERBS or first == "sqlite_master":
        return "a change to the schema"
    name = second if action == sqlite3.SQLITE_FUNCTION else first
    return f"{_VERBS[action]} {name or ''}".strip()[:_SHOWN]


@dataclass(slots=True)
class Rows:
    """What is kept of a result: counts, hashes of the bag and of the sequence, the first rows."""

    columns: int = 0
    count: int = 0
    bag: int = 0
    only_nulls: bool = True
    sequence: bytes = b""
    sample: list[str] = field(default_factory=list)

    def take(self, row: tuple[Any, ...]) -> int:
        """Count one row in; returns its approximate size in bytes."""
        text = repr(tuple([_rounded(v) for v in row] if float in map(type, row) else row))
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        self.bag = (self.bag + int.from_bytes(digest)) % _MODULUS
        self.sequence = blake2b(self.sequence + digest, digest_size=16).digest()
        self.count += 1
        self.only_nulls = self.only_nulls and all(v is None for v in row)
        if len(self.sample) < _SAMPLED:
            self.sample.append(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
        return 64 + len(text)

    @property
    def digest(self) -> str:
        """Equal for equal bags of rows of equal width."""
        return f"{self.columns}-{self.count}-{self.bag:032x}"


def examine(task: Frame, limits: Limits) -> Iterator[Frame]:
    """Both answers for `sql`; the checks together get as long as the first run may take."""
    start = time.perf_counter()
    with closing(_open(task["path"], limits)) as connection:
        try:
            rows = _rows(connection, task["sql"], task["timeout_s"], limits)
        except Failure as failure:
            refused = connection.refused if failure.status == "forbidden" else ""
            yield {"run": _failed(failure) | {"refused": refused, "elapsed_ms": _since(start)}}
            return
        run = {"status": "ok", "rows": rows.count, "columns": rows.columns, "digest": rows.digest}
        run |= {"elapsed_ms": _since(start), "only_nulls": rows.only_nulls and rows.count > 0}
        functions = set(connection.functions)
        run |= {"functions": sorted(functions), "tables": connection.tables()}
        yield {"run": run}
        yield {"checks": _checks(task, rows, functions, connection, limits)}


def _checks(
    task: Frame, rows: Rows, functions: set[str], connection: Connection, limits: Limits
) -> Frame:
    """`determinate` true, false with the reason, or None where it could not be found out."""
    sql: str = task["sql"]
    if chance := functions.intersection(_RANDOM):
        return _not("random", f"calls {min(chance)}()")
    if clock := reads_clock(sql, functions):
        return _not("clock", f"reads the clock: {clock}")
    end = time.monotonic() + task["timeout_s"]
    try:
        again = _rows(connection, sql, end - time.monotonic(), limits)
        if again.digest != rows.digest:
            return _not("repeat", _difference(rows, again, "run twice"))
        with closing(_open(task["path"], limits, reverse=True)) as backwards:
            other = _rows(backwards, sql, end - time.monotonic(), limits)
            asks = backwards.asks_for_rowids()
            content = None if asks else stored_backwards(task["path"], task["version"], limits)
        if other.digest != rows.digest:
            return _not("scan_order", _difference(rows, other, "tables read backwards"))
        ties = _ties(connection, task, rows.columns, end, limits)
        if ties["determinate"] and content is not None:
            stored = _rows_of(content, task, end - time.monotonic(), limits)
            if stored.digest != rows.digest:
                return _not("row_order", _difference(rows, stored, "rows stored backwards"))
        return ties
    except Failure as failure:
        return {"determinate": None, "detail": f"not known: {failure.message}"}


def _rows_of(content: bytes, task: Frame, timeout_s: float, limits: Limits) -> Rows:
    with closing(_open(task["path"], limits)) as connection:
        try:
            connection.read_instead(content)
        except sqlite3.Error as error:
            raise failure_of(error) from None
        return _rows(connection, task["sql"], timeout_s, limits)


def _ties(connection: Connection, task: Frame, columns: int, end: float, limits: Limits) -> Frame:
    """Ties broken in two opposite ways: other rows, or the same rows in another order, or none."""
    variants = order_variants(task["sql"], columns)
    if variants is None:
        return {"determinate": True}
    up, down = (_rows(connection, variant, end - time.monotonic(), limits) for variant in variants)
    if up.digest != down.digest:
        return _not("ties", _difference(up, down, "broken in two opposite ways at a LIMIT"))
    tied = orders_rows(task["sql"]) and up.sequence != down.sequence
    return {"determinate": True, "tied_order": tied}


def _open(path: str, limits: Limits, *, reverse: bool = False) -> ExaminedConnection:
    try:
        return ExaminedConnection(path, limits, reverse=reverse)
    except sqlite3.Error as error:
        raise failure_of(error) from None


def _rows(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> Rows:
    """Run it to the end; raises Failure, also where the verifier could not keep the result."""
    rows, size = Rows(), 0
    with connection.run(sql, timeout_s) as cursor:
        if cursor.description is None:
            raise Failure("no_sql", "the statement is empty")
        rows.columns = len(cursor.description)
        while batch := cursor.fetchmany(_BATCH):
            size += sum(map(rows.take, batch))
            if rows.count > limits.max_gold_rows or size > limits.max_gold_bytes:
                raise Failure("too_large", f"more than {rows.count - 1} rows or {size} bytes")
    return rows


def _rounded(value: Any) -> Any:
    """Nine significant digits; whole numbers as integers, as a comparison would see them."""
    if not isinstance(value, float) or value - value != 0:
        return value
    value = float(f"{value:.9g}")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _difference(one: Rows, other: Rows, how: str) -> str:
    """A line with a row that the other run did not give."""
    if one.count != other.count:
        return f"{how}: {one.count} rows, then {other.count}"
    only = next((row for row in one.sample if row not in other.sample), None)
    instead = next((row for row in other.sample if row not in one.sample), None)
    return f"{how}: {only}, then {instead}" if only and instead else f"{how}: other rows"


def _not(reason: str, detail: str) -> Frame:
    return {"determinate": False, "reason": reason, "detail": detail}


def _failed(failure: Failure) -> Frame:
    return {
        "status": failure.status,
        "message": failure.message,
        "corrupt": failure.corrupt,
    }


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)
