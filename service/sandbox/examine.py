"""Run one gold several times and ways, and say what can be said of it. Standard library only.

Lives in the worker. Two answers go out: `run`, what the statement as it is gave, and `checks`,
whether its rows depend on chance, on the clock, on the order in which rows are read or stored, or
on how ties at a LIMIT are broken. So the parent knows which of the two a worker died in.

Results are compared as bags of rows with numbers at 9 significant digits: the last bits of a sum
depend on the order of adding, which says nothing about the gold.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

from service.sandbox.backwards import stored_backwards
from service.sandbox.clock import reads_clock
from service.sandbox.frames import Frame
from service.sandbox.limits import Limits
from service.sandbox.noting import NotingConnection
from service.sandbox.rowbag import RowBag, difference
from service.sandbox.sqlite import Connection, Failure, failure_of
from service.text2sql.sqltext import orders_rows
from service.text2sql.ties import order_variants

_RANDOM = ("random", "randomblob")
_BATCH = 512


def examine(task: Frame, limits: Limits) -> Iterator[Frame]:
    """Both answers for `sql`; the checks together get as long as the first run may take."""
    start = time.thread_time()
    with closing(_open(task["path"], limits)) as connection:
        try:
            rows = _rows(connection, task["sql"], task["timeout_s"], limits)
        except Failure as failure:
            yield {"run": _failed(failure, connection, task) | {"elapsed_ms": _since(start)}}
            return
        run = {"status": "ok", "rows": rows.count, "columns": rows.columns, "digest": rows.digest}
        run |= {"elapsed_ms": rows.elapsed_ms, "only_nulls": rows.only_nulls and rows.count > 0}
        functions = set(connection.functions)
        run |= {"functions": sorted(functions), "tables": connection.tables()}
        yield {"run": run}
        yield {"checks": _checks(task, rows, functions, connection, limits)}


def _checks(
    task: Frame, rows: RowBag, functions: set[str], connection: Connection, limits: Limits
) -> Frame:
    """`determinate` true, false with the reason, or None where it could not be found out."""
    sql: str = task["sql"]
    if chance := functions.intersection(_RANDOM):
        return _not("random", f"calls {min(chance)}()")
    if clock := reads_clock(sql, functions):
        return _not("clock", f"reads the clock: {clock}")
    end = time.thread_time() + task["timeout_s"]  # The limits of statements are such time.
    try:
        again = _rows(connection, sql, end - time.thread_time(), limits)
        if again.digest != rows.digest:
            return _not("repeat", difference(rows, again, "run twice"))
        with closing(_open(task["path"], limits, reverse=True)) as backwards:
            other = _rows(backwards, sql, end - time.thread_time(), limits)
            asks = backwards.asks_for_rowids()
            content = None if asks else stored_backwards(task["path"], task["version"], limits)
        if other.digest != rows.digest:
            return _not("scan_order", difference(rows, other, "tables read backwards"))
        ties = _ties(connection, task, rows.columns, end, limits)
        if ties["determinate"] and content is not None:
            stored = _rows_of(content, task, end - time.thread_time(), limits)
            if stored.digest != rows.digest:
                return _not("row_order", difference(rows, stored, "rows stored backwards"))
        return ties
    except Failure as failure:
        return {"determinate": None, "detail": f"not known: {failure.message}"}


def _rows_of(content: bytes, task: Frame, timeout_s: float, limits: Limits) -> RowBag:
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
    up, down = (
        _rows(connection, variant, end - time.thread_time(), limits) for variant in variants
    )
    if up.digest != down.digest:
        return _not("ties", difference(up, down, "broken in two opposite ways at a LIMIT"))
    tied = orders_rows(task["sql"]) and up.sequence != down.sequence
    return {"determinate": True, "tied_order": tied}


def _open(path: str, limits: Limits, *, reverse: bool = False) -> NotingConnection:
    try:
        return NotingConnection(path, limits, reverse=reverse)
    except sqlite3.Error as error:
        raise failure_of(error) from None


def _rows(connection: Connection, sql: str, timeout_s: float, limits: Limits) -> RowBag:
    """Run it to the end; raises Failure, also where the verifier could not keep the result."""
    rows, size, hashing, start = RowBag(), 0, 0.0, time.thread_time()
    with connection.run(sql, timeout_s) as cursor:
        if cursor.description is None:
            raise Failure("no_sql", "the statement is empty")
        rows.columns = len(cursor.description)
        while batch := cursor.fetchmany(_BATCH):
            fetched = time.thread_time()
            size += rows.take(batch)
            hashing += time.thread_time() - fetched
            if rows.count > limits.max_gold_rows:
                raise Failure("too_large", f"more than {limits.max_gold_rows} rows")
            if size > limits.max_gold_bytes:
                raise Failure("too_large", f"more than {limits.max_gold_bytes} bytes")
    rows.elapsed_ms = round((time.thread_time() - start - hashing) * 1000, 3)
    return rows


def _not(reason: str, detail: str) -> Frame:
    return {"determinate": False, "reason": reason, "detail": detail}


def _failed(failure: Failure, connection: NotingConnection, task: Frame) -> Frame:
    late = failure.status == "timeout"
    return {
        "status": failure.status,
        "message": f"stopped after {task['timeout_s']:g} s" if late else failure.message,
        "refused": connection.refused if failure.status == "forbidden" else "",
        "corrupt": failure.corrupt,
    }


def _since(start: float) -> float:
    return round((time.thread_time() - start) * 1000, 3)
