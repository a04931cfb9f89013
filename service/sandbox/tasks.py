"""What a worker does with a task: verify, query, describe. Standard library only.

Gold and prediction never share a connection. Gold results are kept, bounded in bytes, so that a
group's next visit finds them.
"""

import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from service.sandbox.examine import examine
from service.sandbox.frames import Frame
from service.sandbox.gold import GoldCache
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure, failure_of
from service.text2sql.compare import JUDGES, GoldRows, Judge

_OPEN_DATABASES = 8
_FIRST_BATCH, _BATCH = 64, 1024


class Tasks:
    """The state of one worker: open connections and kept golds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[tuple[str, str], Connection] = OrderedDict()
        self._golds = GoldCache(limits)

    def hello(self) -> Frame:
        """The first frame: this worker can work, which it tries before saying so."""
        with closing(sqlite3.connect(":memory:")) as trial:
            trial.execute("SELECT zeroblob(1000000)").fetchone()
        return {"ready": True, "sqlite": sqlite3.sqlite_version}

    def run(self, task: Frame) -> Iterator[Frame]:
        """The answers to one task; each sent at once, the last one has `end`."""
        try:
            yield from {
                "verify": self._verify,
                "query": self._query,
                "describe": self._describe,
                "examine": self._examine,
            }[task["op"]](task)
        except Failure as failure:
            yield _failed(failure)
        yield {"end": True}

    def _connection(self, task: Frame, role: str) -> Connection:
        # The version is part of the key: a replaced file is opened anew.
        key = (f"{task['path']}\0{task['version']}", role)
        if key not in self._open:
            while len(self._open) >= 2 * _OPEN_DATABASES:
                self._open.popitem(last=False)[1].close()
            try:
                self._open[key] = Connection(task["path"], self._limits)
            except sqlite3.Error as error:
                raise failure_of(error) from None
        self._open.move_to_end(key)
        return self._open[key]

    # -- verify ------------------------------------------------------------------------------

    def _verify(self, task: Frame) -> Iterator[Frame]:
        golds: list[GoldRows] = []
        room = self._limits.max_gold_bytes
        for sql in task["golds"]:
            answer, rows = self._gold(task, sql, room)
            yield {"gold": answer}
            if rows:
                golds.append(rows)
                room -= rows.size
        for sql in task["predictions"] if golds else ():
            yield {"prediction": self._prediction(task, sql, golds)}

    def _prediction(self, task: Frame, sql: str, golds: list[GoldRows]) -> Frame:
        try:
            return _judge(self._connection(task, "prediction"), sql, golds, task)
        except Failure as failure:  # to open the file
            return _failed(failure)

    def _gold(self, task: Frame, sql: str, room: int) -> tuple[Frame, GoldRows | None]:
        start = time.perf_counter()
        try:
            rows, cached = self._golds.get(
                (task["path"], task["version"], sql),
                lambda: self._connection(task, "gold").run(sql, task["gold_timeout_s"]),
                sql,
            )
            if rows.size > room:
                raise Failure("too_large", "the golds of this request are too large together")
        except Failure as failure:
            return _failed(failure) | {"elapsed_ms": _since(start)}, None
        answer = {"status": "ok", "rows": len(rows.rows), "columns": rows.columns}
        return answer | {"cached": cached, "elapsed_ms": _since(start)}, rows

    def _examine(self, task: Frame) -> Iterator[Frame]:
        return examine(task, self._limits)

    # -- query, describe ---------------------------------------------------------------------

    def _query(self, task: Frame) -> Iterator[Frame]:
        start = time.perf_counter()
        rows: list[list[Any]] = []
        room = task["max_bytes"]
        with self._connection(task, "query").run(task["sql"], task["timeout_s"]) as cursor:
            if cursor.description is None:
                raise Failure("no_sql", "the statement is empty")
            names = [column[0] for column in cursor.description]
            truncated = False
            for row in cursor:
                values = [_jsonable(value) for value in row]
                room -= sum(len(str(value)) + 4 for value in values)
                truncated = len(rows) >= task["max_rows"] or room < 0
                if truncated:
                    break
                rows.append(values)
        answer = {"status": "ok", "columns": names, "rows": rows, "truncated": truncated}
        yield answer | {"elapsed_ms": _since(start)}

    def _describe(self, task: Frame) -> Iterator[Frame]:
        connection = self._connection(task, "describe")
        with connection.run(f"EXPLAIN {task['sql']}", task["timeout_s"]) as cursor:
            empty = cursor.description is None
        if empty:
            raise Failure("no_sql", "the statement is empty")
        reads = connection.reads()
        tables = sorted({table for table, _ in reads})
        yield {
            "status": "ok",
            "tables": tables,
            "columns": sorted(f"{table}.{column}" for table, column in reads if column),
        }


def _judge(connection: Connection, sql: str, golds: list[GoldRows], task: Frame) -> Frame:
    start = time.perf_counter()
    metrics = dict.fromkeys(task["metrics"], 0.0)
    answer: Frame
    try:
        answer = _stream(connection, sql, golds, task["timeout_s"], metrics)
    except Failure as failure:
        answer = _failed(failure)
    return answer | {"metrics": metrics, "elapsed_ms": _since(start)}


def _stream(
    connection: Connection,
    sql: str,
    golds: list[GoldRows],
    timeout_s: float,
    metrics: dict[str, float],
) -> Frame:
    """Feed the rows to every judge until none is undecided; fills `metrics`."""
    count = 0
    with connection.run(sql, timeout_s) as cursor:
        columns = len(cursor.description or ())
        judges: list[tuple[str, Judge]] = [
            (name, JUDGES[name](gold, columns)) for name in metrics for gold in golds
        ]
        size = _FIRST_BATCH
        while judges and (rows := cursor.fetchmany(size)):
            count += len(rows)
            judges = [(name, judge) for name, judge in judges if judge.feed(rows)]
            size = _BATCH
    for name, judge in judges:
        metrics[name] = max(metrics[name], judge.value())
    # A statement without columns is empty or a comment: two empty results are equal to BIRD's
    # evaluator, but it is no answer.
    status = "ok" if columns else "no_sql"
    flags = ["empty_equals_empty"] if judges and not count and any(metrics.values()) else []
    return {"status": status, "rows": count if judges else None, "flags": flags}


def _failed(failure: Failure) -> Frame:
    damage = {"corrupt": True} if failure.corrupt else {}
    return {"status": failure.status, "message": failure.message} | damage


def _since(start: float) -> float:
    return round((time.perf_counter() - start) * 1000, 3)


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value
