"""The execution reward in TRL's shape: the verifier's verdicts on a batch of completions."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.text2sql.types import MASKED, Robust, Status, Verdict, VerifyReport, VerifyTask

Verify = Callable[[Sequence[VerifyTask]], list[VerifyReport]]
Key = tuple[str, str, tuple[str, ...]]
"""question_id, db_id, gold_sql."""

BREAKDOWN = ("match", "mismatch", "error", "timeout", "no_sql", "masked")


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion and what became of it."""

    question_id: str
    db_id: str
    completion: str
    verdict: Verdict


class ExecutionReward:
    """1 where a completion's SQL gives the gold's result by `bird_ex`, else 0; None if masked.

    Range {0, 1}: a query that runs but is wrong earns nothing, since partial credit is what a
    policy learns to collect first. With `copies` a match must also hold on so many altered copies
    of the database, or it earns 0: a match by chance is no skill. None (the gold or the sandbox
    failed, or not all copies were tried) makes TRL leave the sample out: out of the group's mean
    and deviation, with advantage 0.
    """

    __name__ = "execution"

    def __init__(self, verify: Verify, *, copies: int = 0) -> None:
        self._verify = verify
        self._copies = copies
        self._scored: list[Rollout] = []

    def __call__(
        self,
        completions: Sequence[Any],
        db_id: Sequence[str],
        gold_sql: Sequence[Sequence[str]],
        question_id: Sequence[str],
        **columns: object,
    ) -> list[float | None]:
        """Rewards in the order of the completions; each question is one task for the verifier."""
        texts = [_text(completion) for completion in completions]
        golds = [tuple(gold) for gold in gold_sql]
        keys: list[Key] = list(zip(question_id, db_id, golds, strict=True))
        verdicts = self._judge(keys, texts)
        self._scored += [
            Rollout(key[0], key[1], text, verdict)
            for key, text, verdict in zip(keys, texts, verdicts, strict=True)
        ]
        return [verdict.reward for verdict in verdicts]

    def take(self) -> list[Rollout]:
        """What was scored since the last call, in the order of the batch."""
        scored, self._scored = self._scored, []
        return scored

    def _judge(self, keys: Sequence[Key], texts: Sequence[str]) -> list[Verdict]:
        places: dict[Key, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        tasks = [
            reward_task(db_id, golds, [texts[i] for i in where], copies=self._copies)
            for (_, db_id, golds), where in places.items()
        ]
        found: dict[int, Verdict] = {}
        for where, report in zip(places.values(), self._verify(tasks), strict=True):
            found |= zip(where, report.verdicts, strict=True)
        return [found[place] for place in range(len(keys))]


def breakdown(rollouts: Sequence[Rollout]) -> dict[str, int]:
    """How many verdicts of each kind; all kinds are there, their sum is the batch."""
    counts = Counter(kind_of(rollout.verdict.status) for rollout in rollouts)
    return {kind: counts[kind] for kind in BREAKDOWN}


def coincidences(rollouts: Sequence[Rollout]) -> int:
    """Matches that an altered copy of the database disproved; among the mismatches of breakdown."""
    return sum("coincidence" in rollout.verdict.flags for rollout in rollouts)


def kind_of(status: Status) -> str:
    """The line of the breakdown that a status belongs to."""
    if status in MASKED:
        return "masked"
    return status if status in BREAKDOWN else "error"


def useful_share(rollouts: Sequence[Rollout], group_size: int) -> float:
    """Share of groups, 0..1, that differ in reward; only those have advantages that are not 0."""
    groups = [rollouts[i : i + group_size] for i in range(0, len(rollouts), group_size)]
    useful = sum(len({r.verdict.reward for r in group} - {None}) > 1 for group in groups)
    return useful / len(groups) if groups else 0.0


def reward_task(
    db_id: str, gold_sql: Sequence[str], predictions: Sequence[str], *, copies: int
) -> VerifyTask:
    """What the verifier is asked for a question's rewards, the same in every stage."""
    return VerifyTask(
        db_id=db_id,
        gold_sql=tuple(gold_sql),
        predictions=tuple(predictions),
        extract="auto",
        metrics=("bird_ex",),
        reward="execution",
        robust=Robust(instances=copies) if copies else None,
    )


def _text(completion: Any) -> str:
    # TRL gives a list of messages when the prompt is one, else the text itself.
    return completion if isinstance(completion, str) else str(completion[-1]["content"])
