"""All questions of a run in one table: gold and answer side by side."""

from collections.abc import Sequence

from service.pages.document import safe
from service.pages.filtered import Choice, filtered, row
from service.pages.texts import counted, cut
from service.text2sql.evaluation.outcome import Outcome

_LISTED = 5_000  # questions; questions.jsonl has them all
_LONGEST = 4_000  # characters of one text
_VERDICTS = ("right", "wrong", "left out")


def table_of(outcomes: Sequence[Outcome], metric: str) -> str:
    """A heading and a table that can be filtered; right and wrong by that metric."""
    listed = sorted(outcomes, key=lambda outcome: outcome.place)[:_LISTED]
    more = len(outcomes) - len(listed)
    note = f" {more} more stand in questions.jsonl." if more else ""
    statuses = dict.fromkeys(outcome.status for outcome in listed)
    difficulties = dict.fromkeys(outcome.question.difficulty for outcome in listed)
    databases = sorted({outcome.question.db_id for outcome in listed})
    table = filtered(
        f"{counted(len(outcomes), 'question')}, right or wrong by {metric}.{note}",
        "Words in question, evidence or SQL",
        [
            Choice("Answer", "all answers", 0, _VERDICTS),
            Choice("Status", "all statuses", 2, statuses),
            Choice("Difficulty", "all difficulties", 3, difficulties),
            Choice("Database", "all databases", 4, databases),
        ],
        ["answer", "question", "status", "difficulty", "database", "gold and answer"],
        (_row(outcome, metric) for outcome in listed),
    )
    return f"<h2>All questions</h2>{table}"


def _row(outcome: Outcome, metric: str) -> str:
    asked = outcome.question
    verdict = _VERDICTS[2] if outcome.masked else _VERDICTS[not outcome.right(metric)]
    evidence = f"<br><span class='soft'>{_short(asked.evidence)}</span>" if asked.evidence else ""
    message = f"<p class='soft'>{_short(outcome.message)}</p>" if outcome.message else ""
    told = (
        f"{_short(asked.question)}{evidence}<div class='pair'>"
        f"<div><h3>gold</h3><code>{_short(asked.gold_sql)}</code></div>"
        f"<div><h3>answer</h3><code>{_short(outcome.sql or 'no SQL')}</code>{message}</div></div>"
    )
    named = (verdict, asked.question_id, outcome.status, asked.difficulty, asked.db_id)
    return row([*map(safe, named), told], {0: "kind"})


def _short(text: str | None) -> str:
    return safe(cut(text or "", _LONGEST))
