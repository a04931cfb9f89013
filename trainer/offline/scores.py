"""The verdicts on candidates: by gold, or by the agreement of their results."""

from collections.abc import Callable, Sequence

from service.text2sql.types import Verdict
from trainer.context import Context
from trainer.dataset import Row
from trainer.offline.consensus import agreed
from trainer.rewards import reward_task

Judge = Callable[[Sequence[Row], Sequence[Sequence[str]]], list[list[Verdict]]]
"""Verdicts for each row's completions, in order."""


def judge_of(context: Context) -> Judge:
    """What `offline.labels` asks for."""
    verify = context.judge.verify

    def by_gold(rows: Sequence[Row], groups: Sequence[Sequence[str]]) -> list[list[Verdict]]:
        tasks = [
            reward_task(row.db_id, row.gold_sql, texts, copies=context.settings.reward_copies)
            for row, texts in zip(rows, groups, strict=True)
        ]
        return [report.verdicts for report in verify(tasks)]

    def by_consensus(rows: Sequence[Row], groups: Sequence[Sequence[str]]) -> list[list[Verdict]]:
        return [agreed(r.db_id, texts, verify) for r, texts in zip(rows, groups, strict=True)]

    return by_gold if context.settings.offline.labels == "gold" else by_consensus
