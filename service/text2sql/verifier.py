"""The one verifier: /verify, training, evaluation and /generate all call this function."""

from typing import Any, cast

from service import __version__
from service.errors import DatabaseUnusable
from service.sandbox.executor import Executor
from service.sandbox.judging import Group, Judged, judge
from service.text2sql.completion import extract_sql
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.rewards import Outcome, score
from service.text2sql.types import (
    MASKED,
    Extract,
    GoldReport,
    Status,
    Verdict,
    VerifyReport,
    VerifyTask,
)

_GOLD_STATUS: dict[str, str] = {"ok": "ok", "timeout": "gold_timeout", "infra_error": "infra_error"}
_NO_SQL = {"status": "no_sql", "message": "no SQL was found in the completion"}


class Verifier:
    """Judges predictions by running them, in the sandbox, against a registered database."""

    def __init__(self, registry: DatabaseRegistry, executor: Executor) -> None:
        self._registry = registry
        self._executor = executor

    @property
    def version(self) -> str:
        """Changes whenever a verdict might."""
        return f"{__version__}+sqlite-{self._executor.engine_version}"

    async def verify(self, task: VerifyTask) -> VerifyReport:
        """A verdict for each prediction, in order.

        A wrong, unsafe or endless prediction is a verdict. Raises UnknownDatabase,
        DatabaseUnusable or NoFreeWorker.
        """
        database = self._registry.get(task.db_id)
        sha256 = await self._registry.sha256_async(task.db_id)
        sqls = [_sql(prediction, task.extract) for prediction in task.predictions]
        distinct = tuple(dict.fromkeys(sql for sql in sqls if sql is not None))
        judged = await judge(self._executor, database.path, self._group(task, distinct))
        gold = _gold_report(task.db_id, judged)
        answers = dict(zip(distinct, judged.predictions, strict=False))
        return VerifyReport(
            db_id=task.db_id,
            database_sha256=sha256,
            verifier_version=self.version,
            gold=gold,
            verdicts=[
                _verdict(prediction, sql, answers, gold, task)
                for prediction, sql in zip(task.predictions, sqls, strict=True)
            ],
        )

    def _group(self, task: VerifyTask, distinct: tuple[str, ...]) -> Group:
        limits = self._executor.limits
        return Group(
            golds=task.gold_sql,
            predictions=distinct,
            metrics=task.metrics,
            timeout_s=min(task.timeout_s or limits.query_timeout_s, limits.query_timeout_s),
            gold_timeout_s=limits.gold_timeout_s,
            group_timeout_s=limits.group_timeout_s,
        )


def _sql(prediction: str, extract: Extract) -> str | None:
    # As it is, even when empty: BIRD's evaluator runs an empty prediction too.
    return prediction if extract == "none" else extract_sql(prediction, extract)


def _gold_report(db_id: str, judged: Judged) -> GoldReport:
    """The first usable gold, or the first failure; raises DatabaseUnusable for a damaged file."""
    answers = [judged.golds[n] for n in sorted(judged.golds)]
    answer = next((a for a in answers if a["status"] == "ok"), answers[0])
    if answer.get("corrupt"):
        raise DatabaseUnusable(
            f"the database file of {db_id!r} is damaged: {answer['message']}", param="db_id"
        )
    return GoldReport(
        status=cast(Any, _GOLD_STATUS.get(answer["status"], "gold_error")),
        rows=answer.get("rows"),
        columns=answer.get("columns"),
        elapsed_ms=answer.get("elapsed_ms", 0.0),
        cached=answer.get("cached", False),
        message=answer.get("message"),
    )


def _verdict(
    prediction: str,
    sql: str | None,
    answers: dict[str, Any],
    gold: GoldReport,
    task: VerifyTask,
) -> Verdict:
    answer = _answer(sql, answers, gold)
    metrics = answer.get("metrics") or dict.fromkeys(task.metrics, 0.0)
    status = _status(answer["status"], metrics[task.metrics[0]])
    outcome = Outcome(status, metrics, prediction, sql, task.extract)
    reward, components = score(outcome, task.reward)
    return Verdict(
        status=status,
        reward=reward,
        masked=status in MASKED,
        retryable=status == "infra_error" and not answer.get("corrupt"),
        metrics=metrics,
        components=components,
        flags=answer.get("flags", []),
        # Half a surrogate pair can be received, but not sent.
        sql=sql and sql.encode(errors="backslashreplace").decode(),
        rows=answer.get("rows"),
        elapsed_ms=answer.get("elapsed_ms", 0.0),
        cached=False,
        message=answer.get("message"),
    )


def _answer(sql: str | None, answers: dict[str, Any], gold: GoldReport) -> dict[str, Any]:
    if gold.status != "ok":
        return {"status": gold.status, "message": gold.message}
    return _NO_SQL if sql is None else cast(dict[str, Any], answers[sql])


def _status(answer: str, value: float) -> Status:
    """The worker's word, `ok` turned into match or mismatch by the first metric."""
    if answer == "ok":
        return "match" if value else "mismatch"
    return cast(Status, answer)
