"""From what a worker answered to what a caller gets: one gold report, a verdict a prediction."""

from typing import Any, cast

from service.errors import DatabaseUnusable
from service.sandbox.frames import Frame
from service.text2sql.rewards import Outcome, score
from service.text2sql.types import (
    MASKED,
    Flag,
    GoldReport,
    Metric,
    Status,
    Verdict,
    VerifyTask,
    is_right,
)
from service.text2sql.verdict_cache import Answers

_GOLD_STATUS: dict[str, str] = {"ok": "ok", "timeout": "gold_timeout", "infra_error": "infra_error"}
_NO_SQL: Frame = {"status": "no_sql", "message": "no SQL was found in the completion"}


def gold_report(db_id: str, golds: dict[int, Frame]) -> GoldReport:
    """The first usable gold, or the first failure; raises DatabaseUnusable for a damaged file."""
    answers = [golds[n] for n in sorted(golds)]
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


def verdict_of(
    prediction: str,
    sql: str | None,
    answers: Answers,
    gold: GoldReport,
    task: VerifyTask,
    reject_flags: frozenset[Flag],
) -> Verdict:
    """The verdict on one prediction; `sql` is what was taken out of it."""
    answer = _answer(sql, answers, gold)
    get = answer.get
    metrics = get("metrics") or dict.fromkeys(task.metrics, 0.0)
    status = _status(answer["status"], task.metrics[0], metrics)
    if status == "mismatch" and (unknown := _gold_unknown(answers)):
        status = unknown  # it might have matched that gold
    flags: list[Flag] = get("flags") or []
    refused = reject_flags.intersection(flags) if flags and status == "match" else frozenset()
    # What only this database's data makes equal earns nothing, by whatever metric.
    earning = dict.fromkeys(metrics, 0.0) if "coincidence" in flags else metrics
    outcome = Outcome(status, earning, prediction, sql, task.extract)
    reward, components = score(outcome, task.reward, rejected=bool(refused))
    return Verdict(
        status,
        reward,
        status in MASKED,
        status == "infra_error" and not get("corrupt"),
        metrics,
        components,
        flags,
        # Half a surrogate pair can be received, but not sent.
        sql if sql is None or sql.isascii() else sql.encode(errors="backslashreplace").decode(),
        get("rows"),
        get("elapsed_ms", 0.0),
        sql in answers.kept,
        _refusal(refused) if refused else get("message"),
        get("diff"),
        get("timing"),
        get("robust"),
    )


def _gold_unknown(answers: Answers) -> Status | None:
    """How one of several golds failed without any fault of its own, if one did."""
    for gold in answers.golds.values():
        if gold["status"] in ("timeout", "infra_error"):
            return cast(Status, _GOLD_STATUS[gold["status"]])
    return None


def _refusal(flags: frozenset[Flag]) -> str:
    return f"a match that earns nothing, by policy: {', '.join(sorted(flags))}"


def _answer(sql: str | None, answers: Answers, gold: GoldReport) -> Frame:
    if gold.status != "ok":
        return {"status": gold.status, "message": gold.message}
    return _NO_SQL if sql is None else answers.predictions[sql]


def _status(answer: str, metric: Metric, metrics: dict[str, float]) -> Status:
    """The worker's word, `ok` turned into match or mismatch by the first metric."""
    if answer != "ok":
        return cast(Status, answer)
    return "match" if is_right(metric, metrics[metric]) else "mismatch"
