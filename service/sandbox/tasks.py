"""What a worker does with a task, by its operation. Standard library only."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from service.sandbox.connections import Connections
from service.sandbox.examine import examine
from service.sandbox.frames import Frame
from service.sandbox.gold import GoldCache
from service.sandbox.group import GroupJudge, Task, failed, since
from service.sandbox.limits import Limits
from service.sandbox.rowset import RowSet
from service.sandbox.sqlite import Connection, Failure

if TYPE_CHECKING:
    from service.sandbox.copies.judge import CopyJudge

_LONG_TEXT = 1000
_PLAIN = bytes(set(range(32, 127)) - set(b'"\\'))
"""The characters that JSON leaves as they are."""


class Tasks:
    """The state of one worker: open connections and kept golds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections = Connections(limits)
        self._golds = GoldCache(limits)

    @cached_property
    def _copies(self) -> "CopyJudge":
        from service.sandbox.copies.judge import CopyJudge  # a fifth of a start, seldom used

        return CopyJudge(self._limits)

    def hello(self) -> Frame:
        """The first frame: this worker can work, which it tries before saying so."""
        with closing(sqlite3.connect(":memory:")) as trial:
            trial.execute("SELECT zeroblob(1000000)").fetchone()
        return {"ready": True, "sqlite": sqlite3.sqlite_version}

    def run(self, task: Frame) -> Iterator[Frame]:
        """The answers to one task."""
        try:
            match task["op"]:
                case "ping":
                    yield {}
                case "verify":
                    yield from self._verify(task)
                case "examine":
                    yield from examine(task, self._limits)
                case "robust":
                    yield from self._copies.judge(task)
                case operation:
                    connection = self._connections.get(task["path"], task["version"], operation)
                    yield _ON_ONE_STATEMENT[operation](connection, task)
        except Failure as failure:
            yield failed(failure)

    def _verify(self, task: Frame) -> Iterator[Frame]:
        asked = Task(**{name: task[name] for name in Task._fields})
        yield from GroupJudge(asked, self._connections, self._golds, self._limits).answers()


def _query(connection: Connection, task: Frame) -> Frame:
    start = time.perf_counter()
    with connection.run(task["sql"], task["timeout_s"]) as cursor:
        if cursor.description is None:
            raise Failure("no_sql", "the statement is empty")
        names = [column[0] for column in cursor.description]
        room = task["max_bytes"] - _sent_bytes(names)
        if room < 0:
            limit = f"{task['max_bytes']:,} bytes"
            raise Failure("too_large", f"the names of the columns alone take more than {limit}")
        rows, truncated, digest = _first_rows(cursor, task, room)
    answer = {"status": "ok", "columns": names, "rows": rows, "truncated": truncated}
    return answer | {"digest": digest, "elapsed_ms": since(start)} | _reads(connection)


def _first_rows(
    cursor: sqlite3.Cursor, task: Frame, room: int
) -> tuple[list[list[Any]], bool, str | None]:
    """The rows within the bounds, whether there are more, and the digest of all if asked for."""
    distinct = RowSet(task["digest_rows"]) if task.get("digest_rows") else None
    rows: list[list[Any]] = []
    truncated = False
    for row in cursor:
        if distinct and not distinct.take(row):
            return rows, True, None
        if truncated:
            continue
        values = [_jsonable(value) for value in row]
        room -= _sent_bytes(values)
        truncated = len(rows) >= task["max_rows"] or room < 0
        if truncated and not distinct:
            break
        if not truncated:
            rows.append(values)
    return rows, truncated, distinct.digest if distinct else None


def _writes(step: tuple[Any, ...]) -> bool:
    """Whether a step of a compiled program writes; the authorizer is not asked about VACUUM."""
    _address, operation, _p1, p2, *_ = step
    return bool(operation == "Vacuum" or (operation == "Transaction" and p2))


def _reads(connection: Connection) -> Frame:
    return {
        "tables": sorted({table for table, _ in connection.reads}),
        "reads": sorted(f"{table}.{column}" for table, column in connection.reads if column),
    }


def _describe(connection: Connection, task: Frame) -> Frame:
    with connection.run(f"EXPLAIN {task['sql']}", task["timeout_s"]) as cursor:
        if cursor.description is None:
            raise Failure("no_sql", "the statement is empty")
        if any(_writes(step) for step in cursor):
            raise Failure("forbidden", "not authorized: the statement would write")
    read = _reads(connection)
    return {"status": "ok", "tables": read["tables"], "columns": read["reads"]}


_ON_ONE_STATEMENT = {"query": _query, "describe": _describe}


def _sent_bytes(values: list[Any]) -> int:
    """The length of the values in JSON, where a letter may take twelve bytes."""
    rest = [_escaped(value) for value in values]
    plain = sum(
        len(value) - len(odd)
        for value, odd in zip(values, rest, strict=True)
        if isinstance(value, str)
    )
    return plain + len(json.dumps(rest))


def _escaped(value: Any) -> Any:
    """Of a long text what is not itself in JSON; finding that out takes a fifth of the encoding."""
    if isinstance(value, str) and len(value) > _LONG_TEXT and value.isascii():
        return value.encode().translate(None, _PLAIN).decode()
    return value


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value
