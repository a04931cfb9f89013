"""Judge one group in the worker: the golds, then each prediction against those that are usable.

Gold and prediction never share a connection. Rows are judged as they stream; the first one that
decides ends the statement.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from service.sandbox.connections import Connections
from service.sandbox.frames import Frame
from service.sandbox.gold import Gold, GoldCache, Key, run_gold
from service.sandbox.limits import Limits
from service.sandbox.plan import Run, plan
from service.sandbox.program import Program, program_of
from service.sandbox.sqlite import ENGINE_ERRORS, Connection, Failure, failure_of
from service.text2sql.compare.metrics import Judge

_FIRST_BATCH, _BATCH = 64, 1024
_SLOW_MS = 2.0  # from here on a look at the compiled program is worth its price


class Task(NamedTuple):
    """What the parent asks; times in seconds."""

    path: str
    version: str
    golds: list[str]
    predictions: list[str]
    metrics: list[str]
    timeout_s: float
    gold_timeout_s: float
    diff_rows: int


class GroupJudge:
    """One visit of a group; `answers` gives an answer for each gold, then for each prediction."""

    def __init__(
        self, task: Task, connections: Connections, golds: GoldCache, limits: Limits
    ) -> None:
        self._task = task
        self._connections = connections
        self._cache = golds
        self._limits = limits
        self._runs = plan(tuple(task.metrics))
        self._golds: list[list[Gold]] = [[] for _ in self._runs]
        self._room = limits.max_gold_bytes
        self._programs: dict[Program, Frame] = {}

    def answers(self) -> Iterator[Frame]:
        """Answers in order; none for predictions where no gold is usable."""
        for sql in self._task.golds:
            yield self._gold(sql)
        if self._golds[0]:
            for sql in self._task.predictions:
                yield self._prediction(sql)

    # -- golds -------------------------------------------------------------------------------

    def _gold(self, sql: str) -> Frame:
        start = time.perf_counter()
        try:
            first, cached = self._usable(self._runs[0], sql)
        except Failure as failure:
            return failed(failure) | {"elapsed_ms": since(start)}
        self._golds[0].append(first)
        self._for_other_runs(sql)
        answer = {"status": "ok", "rows": len(first.rows.rows), "columns": first.rows.columns}
        return answer | {"cached": cached, "elapsed_ms": since(start)}

    def _for_other_runs(self, sql: str) -> None:
        for golds, run in zip(self._golds[1:], self._runs[1:], strict=True):
            try:
                golds.append(self._usable(run, sql)[0])
            except Failure:  # the metrics of that run stay 0
                continue

    def _usable(self, run: Run, sql: str) -> tuple[Gold, bool]:
        """The gold as that run needs it, and whether it was kept; raises Failure."""
        task = self._task
        prepared = run.prepare(sql)
        if prepared is None:
            raise Failure("no_sql", "the gold is empty")
        key = Key(task.path, task.version, prepared, run.lenient_text)
        kept = self._cache.get(key)
        gold = kept or self._run_gold(key)
        if gold.rows.size > self._room:
            raise Failure("too_large", "the golds of this request are too large together")
        self._room -= gold.rows.size
        return gold, kept is not None

    def _run_gold(self, key: Key) -> Gold:
        start = time.perf_counter()
        connection = self._connection("gold", key.lenient_text)
        rows = run_gold(connection, key.sql, self._task.gold_timeout_s, self._limits)
        gold = Gold(rows, connection.volatile(key.sql), since(start))
        self._cache.keep(key, gold)
        return gold

    # -- predictions -------------------------------------------------------------------------

    def _prediction(self, sql: str) -> Frame:
        start = time.perf_counter()
        if self._golds[0][0].elapsed_ms < _SLOW_MS:
            answer = self._judge(sql)
        else:
            answer = self._judge_once(sql)
        answer["elapsed_ms"] = since(start)
        return answer

    def _judge_once(self, sql: str) -> Frame:
        """As _judge, but a prediction that compiles to a known program is not run again."""
        try:
            program = program_of(self._connection("prediction", False), sql)
        except Failure as failure:  # to open the file
            return failed(failure)
        if program is None:
            return self._judge(sql)
        if program not in self._programs:
            self._programs[program] = self._judge(sql)
        return dict(self._programs[program])

    def _judge(self, sql: str) -> Frame:
        metrics = dict.fromkeys(self._task.metrics, 0.0)
        answer = self._judge_run(self._runs[0], self._golds[0], sql, metrics)
        for run, golds in zip(self._runs[1:], self._golds[1:], strict=True):
            self._judge_run(run, golds, sql, metrics)
        answer["metrics"] = metrics
        return answer

    def _judge_run(self, run: Run, golds: list[Gold], sql: str, metrics: dict[str, float]) -> Frame:
        """Run the prediction once and fill in the metrics of that run."""
        prepared = run.prepare(sql)
        if prepared is None:
            return {"status": "no_sql", "message": "nothing is left of the prediction"}
        try:
            connection = self._connection("prediction", run.lenient_text)
            return self._stream(connection, prepared, run, golds, metrics)
        except ENGINE_ERRORS as error:
            return failed(failure_of(error))
        except Failure as failure:
            return failed(failure)

    def _stream(
        self,
        connection: Connection,
        sql: str,
        run: Run,
        golds: list[Gold],
        metrics: dict[str, float],
    ) -> Frame:
        """Feed the rows to every judge until none is undecided; raises ENGINE_ERRORS."""
        count = 0
        try:
            cursor = connection.execute(sql, self._task.timeout_s)
            columns = len(cursor.description or ())
            judges: list[tuple[str, Judge]] = [
                (name, make(gold.rows, columns)) for name, make in run.judges for gold in golds
            ]
            size = _FIRST_BATCH
            while judges and (rows := cursor.fetchmany(size)):
                count += len(rows)
                judges = [pair for pair in judges if pair[1].feed(rows)]
                size = _BATCH
            cursor.close()
        finally:
            connection.done()
        for name, judge in judges:
            metrics[name] = max(metrics[name], judge.value())
        # A statement without columns is empty or a comment: two empty results are equal to BIRD's
        # evaluator, but it is no answer.
        answer: Frame = {"status": "ok" if columns else "no_sql"}
        if judges:
            answer["rows"] = count
            if not count and any(metrics.values()):
                answer["flags"] = ["empty_equals_empty"]
        return answer

    def _connection(self, role: str, lenient_text: bool) -> Connection:
        task = self._task
        return self._connections.get(task.path, task.version, role, lenient_text=lenient_text)


def failed(failure: Failure) -> Frame:
    """A failure as an answer."""
    damage = {"corrupt": True} if failure.corrupt else {}
    return {"status": failure.status, "message": failure.message} | damage


def since(start: float) -> float:
    """Milliseconds since a perf_counter value."""
    return round((time.perf_counter() - start) * 1000, 3)
