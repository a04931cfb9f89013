"""Judge one group in the worker: the golds, then each prediction against those that are usable.

Gold and prediction never share a connection. Rows are judged as they stream; the first one that
decides ends the statement.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from service.sandbox.connections import Connections
from service.sandbox.frames import Frame
from service.sandbox.gold import Gold, GoldCache, Key, run_gold
from service.sandbox.limits import Limits
from service.sandbox.plan import Run, plan
from service.sandbox.prediction import Judged, answer_of, answer_of_gold, run_prediction
from service.sandbox.program import KnownPrograms, program_of
from service.sandbox.sqlite import ENGINE_ERRORS, Connection, Failure, failure_of
from service.sandbox.timing import time_ratios
from service.text2sql.compare.budget import ComparisonTooHard
from service.text2sql.compare.r_ves import reward_of
from service.text2sql.fold import fold

_SLOW_MS = 2.0  # from here on a look at the compiled program is worth its price
_UNRUN = "\0"  # the evaluator crashes on the text
_TIMED_RUNS = 100  # as BIRD's evaluator


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
    by_width: bool


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
        self._untimed = (
            len(self._runs) == 1
            and not self._runs[0].timed
            and "spider2_lite" not in task.metrics  # numbers of 309 digits are not equal to it
        )
        self._by_text: dict[tuple[str, ...], Frame] = {}
        """Answers by folded text: the golds' own, then those of predictions that were run."""
        self._largest = 0
        self._used: set[Key] = set()
        self._known: KnownPrograms | None = None

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
            others = [self._usable_or_none(run, sql) for run in self._runs[1:]]
        except Failure as failure:
            return failed(failure) | {"elapsed_ms": since(start)}
        for golds, gold in zip(self._golds, [first, *others], strict=True):
            if gold:
                golds.append(gold)
                self._largest = max(self._largest, len(gold.rows.rows))
        if self._untimed and not first.volatile:
            self._by_text[self._text_of(sql)] = answer_of_gold(first, self._task.metrics)
        answer = {"status": "ok", "rows": len(first.rows.rows), "columns": first.rows.columns}
        return answer | {"cached": cached, "elapsed_ms": since(start)}

    def _usable_or_none(self, run: Run, sql: str) -> Gold | None:
        """The gold for a later run, whose metrics stay 0 without one; raises a Failure of ours."""
        try:
            return self._usable(run, sql)[0]
        except Failure as failure:
            if failure.status == "infra_error":
                raise
            return None

    def _usable(self, run: Run, sql: str) -> tuple[Gold, bool]:
        """The gold as that run needs it, and whether it was kept; raises Failure."""
        task = self._task
        prepared = run.prepare(sql)
        if prepared is None:
            raise Failure("no_sql", "the gold is empty")
        key = Key(task.path, task.version, prepared, run.lenient_text)
        self._used.add(key)
        kept = self._cache.get(key)
        gold = kept or self._run_gold(key)
        if gold.rows.size > self._room:
            raise Failure("too_large", "the golds of this request are too large together")
        self._room -= gold.rows.size
        return gold, kept is not None

    def _run_gold(self, key: Key) -> Gold:
        connection = self._connection("gold", key.lenient_text)
        gold = run_gold(connection, key.sql, self._task.gold_timeout_s, self._limits)
        self._cache.keep(key, gold)
        return gold

    # -- predictions -------------------------------------------------------------------------

    def _prediction(self, sql: str) -> Frame:
        start = time.perf_counter()
        text = self._text_of(sql)
        answer = self._by_text.get(text)
        if answer is None:
            answer = self._judged(sql)
            if answer["status"] == "too_large" and self._cache.forget_but(self._used):
                answer = self._judged(sql)  # other groups' golds took the memory
            if not answer.get("volatile"):
                self._by_text[text] = answer
        return answer | {"elapsed_ms": since(start)}

    def _judged(self, sql: str) -> Frame:
        slow = self._golds[0][0].elapsed_ms > _SLOW_MS and self._untimed
        try:
            return self._judge_once(sql) if slow else self._judge(sql)
        except Failure as failure:  # to open the file
            return failed(failure)

    def _text_of(self, sql: str) -> tuple[str, ...]:
        """What stands for the prediction and all like it: the folded texts that are run."""
        return tuple([fold(run.prepare(sql) or _UNRUN) for run in self._runs])

    def _judge_once(self, sql: str) -> Frame:
        """As _judge, without running what the compiled program already decides."""
        connection = self._connection("prediction", self._runs[0].lenient_text)
        if self._known is None:
            self._known = KnownPrograms(
                connection, self._runs[0], self._golds[0], self._task.diff_rows, self._task.by_width
            )
        prepared = self._runs[0].prepare(sql)
        program = program_of(connection, prepared) if prepared else None
        if program is None:
            return self._judge(sql)
        answer = self._known.answer(program)
        if answer is None:
            answer = self._judge(sql)
            self._known.remember(program, answer)
        return answer

    def _judge(self, sql: str) -> Frame:
        """Every metric of the prediction; the first run decides the status."""
        metrics = dict.fromkeys(self._task.metrics, 0.0)
        answer = self._first_run(sql, metrics)
        if answer["status"] == "infra_error":
            return answer
        for run, golds in zip(self._runs[1:], self._golds[1:], strict=True):
            try:
                if golds:
                    connection = self._connection("prediction", run.lenient_text)
                    metrics.update(self._run(connection, run, golds, sql).values)
            except Failure as failure:
                if failure.status == "infra_error" and answer["status"] == "ok":
                    return failed(failure)  # what is not known is not 0
        answer["metrics"] = metrics
        return answer

    def _first_run(self, sql: str, metrics: dict[str, float]) -> Frame:
        run, golds, task = self._runs[0], self._golds[0], self._task
        start, start_cpu_s = time.perf_counter(), time.thread_time()
        try:
            connection = self._connection("prediction", run.lenient_text)
            judged = self._run(connection, run, golds, sql)
        except Failure as failure:
            return failed(failure)
        metrics.update(judged.values)
        elapsed_s, used_s = time.perf_counter() - start, time.thread_time() - start_cpu_s
        answer = answer_of(judged, run, golds, connection, used_s, task.diff_rows, self._limits)
        if run.timed and judged.values[run.timed]:
            try:
                answer["timing"] = self._time(run.timed, judged, elapsed_s, metrics)
            except Failure as failure:
                return failed(failure)
        return answer

    def _time(
        self, metric: str, judged: Judged, elapsed_s: float, metrics: dict[str, float]
    ) -> Frame:
        """Time gold and prediction against each other; the metric gets the reward for that."""
        task, gold = self._task, judged.matched.gold if judged.matched else self._golds[0][0]
        runs = [
            partial(self._rerun, self._connection(role, False), sql, timeout_s)
            for role, sql, timeout_s in (
                ("gold", gold.rows.sql, task.gold_timeout_s),
                ("prediction", judged.sql, task.timeout_s),
            )
        ]
        stop_at = time.monotonic() + max(0.0, task.timeout_s - elapsed_s)
        try:
            ratios = time_ratios(runs[0], runs[1], _TIMED_RUNS, stop_at)
        except ENGINE_ERRORS as error:  # both have run before: nobody's fault
            message = f"could not be timed: {failure_of(error).message}"
            raise Failure("infra_error", message) from None
        reward = reward_of(ratios)
        metrics[metric] = reward.value
        return {"ratio": reward.ratio, "spread": reward.spread, "runs": len(ratios)}

    def _rerun(self, connection: Connection, sql: str, timeout_s: float) -> None:
        try:
            connection.execute(sql, timeout_s).fetchall()
        finally:
            connection.done()

    def _run(self, connection: Connection, run: Run, golds: list[Gold], sql: str) -> Judged:
        """Run the prediction once for the metrics of that run; raises Failure."""
        prepared = run.prepare(sql)
        if prepared is None:
            raise Failure("no_sql", "nothing is left of the prediction")
        try:
            return run_prediction(
                connection, prepared, run, golds, self._largest, self._task.timeout_s
            )
        except ComparisonTooHard as error:
            raise Failure("too_large", str(error)) from None
        except ENGINE_ERRORS as error:
            raise connection.failure(error) from None

    def _connection(self, role: str, lenient_text: bool) -> Connection:
        task = self._task
        return self._connections.get(task.path, task.version, role, lenient_text=lenient_text)


def failed(failure: Failure) -> Frame:
    """A failure as an answer."""
    damage = {"corrupt": True} if failure.corrupt else {}
    return {"status": failure.status, "message": failure.message} | damage


def since(start: float) -> float:
    """Milliseconds since a perf_counter value."""
    return int((time.perf_counter() - start) * 1e6) / 1000  # a third of the time of round()
