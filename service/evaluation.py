"""Execution accuracy of the served model on a file of questions: ask, verify, count."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from service.client import Client, ServiceError
from service.text2sql.questions import Question


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question's answer and verdict; `status` is the verdict's, or the error's code."""

    question: Question
    sql: str | None
    status: str
    metrics: dict[str, float]
    masked: bool
    message: str | None = None

    def right(self, metric: str) -> bool:
        """By that metric; no SQL is never right, though it equals a gold that finds no rows."""
        return self.status != "no_sql" and self.metrics.get(metric) == 1.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Right answers among those that could be judged, with a 95 % Wilson interval."""

    name: str
    right: int
    judged: int

    @property
    def share(self) -> float:
        """0..1; 0 if nothing was judged."""
        return self.right / self.judged if self.judged else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval (1927) at z = 1.96."""
        if not self.judged:
            return (0.0, 1.0)
        n, p, z = self.judged, self.share, 1.96
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return (max(0.0, middle - half), min(1.0, middle + half))


def evaluate(
    client: Client,
    questions: Sequence[Question],
    metrics: Sequence[str],
    concurrency: int,
    done: Callable[[Outcome], None],
) -> list[Outcome]:
    """Ask every question, greedy, one generation; outcomes in the questions' order.

    `done` is called as each comes in. An answer that fails, or that has no SQL, counts as wrong; a
    gold that fails is masked and left out of the accuracy.
    """

    def one(question: Question) -> Outcome:
        outcome = _ask_and_verify(client, question, metrics)
        done(outcome)
        return outcome

    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(one, questions))


def accuracies(outcomes: Sequence[Outcome], metric: str) -> Iterator[Accuracy]:
    """By difficulty in order of first appearance, then `all`."""
    names = dict.fromkeys(outcome.question.difficulty for outcome in outcomes)
    for name in [*names, "all"]:
        judged = [
            outcome
            for outcome in outcomes
            if not outcome.masked and name in (outcome.question.difficulty, "all")
        ]
        right = sum(outcome.right(metric) for outcome in judged)
        yield Accuracy(name, right, len(judged))


def report(outcomes: Sequence[Outcome], metrics: Sequence[str]) -> dict[str, Any]:
    """All numbers and every answer, for a JSON file."""
    return {
        "accuracy": {
            metric: [
                {"difficulty": a.name, "right": a.right, "judged": a.judged, "share": a.share,
                 "interval_95": a.interval}
                for a in accuracies(outcomes, metric)
            ]
            for metric in metrics
        },
        "answers": [
            {"question_id": o.question.question_id, "db_id": o.question.db_id,
             "question": o.question.question, "gold_sql": o.question.gold_sql, "sql": o.sql,
             "status": o.status, "metrics": o.metrics, "message": o.message}
            for o in outcomes
        ],
    }  # fmt: skip


def _ask_and_verify(client: Client, question: Question, metrics: Sequence[str]) -> Outcome:
    try:
        answer = client.post(
            "/generate",
            {
                "question": question.question,
                "db_id": question.db_id,
                "evidence": question.evidence,
            },
        )
    except ServiceError as error:
        if error.code in _NOT_THE_MODEL:
            raise
        return Outcome(question, None, error.code, {}, masked=False, message=str(error))
    verdict = client.post(
        "/verify",
        {
            "db_id": question.db_id,
            "gold_sql": question.gold_sql,
            "predictions": [answer["sql"] or ""],
            "metrics": list(metrics),
        },
    )["verdicts"][0]
    return Outcome(
        question,
        answer["sql"],
        verdict["status"],
        verdict["metrics"],
        verdict["masked"],
        verdict["message"],
    )


_NOT_THE_MODEL = frozenset(
    {"unreachable", "broken_connection", "unauthorized", "unknown_database"}
    | {"engine_off", "engine_unavailable"}
)
"""Failures that would be counted against the model although it was never asked."""
