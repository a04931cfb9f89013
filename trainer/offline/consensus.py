"""Scores without gold: the result that most of a question's candidates agree on counts as right.

What a customer has who brings questions and a database, and no labels (TAO's promise). Equality is
the verifier's own: each candidate is judged against one of the cluster as if that were the gold.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from service.text2sql.types import Verdict, VerifyReport, VerifyTask

Verify = Callable[[Sequence[VerifyTask]], list[VerifyReport]]
_LEAST = 2
"""Candidates of a majority: one alone agrees with nobody."""


def agreed(db_id: str, completions: Sequence[str], verify: Verify) -> list[Verdict]:
    """Verdicts in the order of the completions: reward 1 in the largest cluster, 0 outside of it.

    One that could not be judged has None. All have where no two candidates agree on a result that
    has rows, and where two clusters are equally large: then nobody knows.
    """
    verdicts, clusters = _clustered(db_id, completions, verify)
    sizes = sorted((len(cluster) for cluster in clusters), reverse=True)
    if not sizes or sizes[0] < _LEAST or sizes.count(sizes[0]) > 1:
        return [replace(verdict, reward=None) for verdict in verdicts]
    largest = max(clusters, key=len)
    return [
        _of_majority(verdict) if place in largest else _outvoted(verdict)
        for place, verdict in enumerate(verdicts)
    ]


def _clustered(
    db_id: str, completions: Sequence[str], verify: Verify
) -> tuple[list[Verdict], list[set[int]]]:
    """One round for each cluster: its first member is the gold that the others are judged by."""
    (report,) = verify([_task(db_id, "SELECT 1", completions)])
    verdicts = list(report.verdicts)  # What the completions are by themselves.
    clusters: list[set[int]] = []
    left = [place for place, verdict in enumerate(verdicts) if verdict.sql is not None]
    while left:
        sql = verdicts[left[0]].sql or ""
        (report,) = verify([_task(db_id, sql, [completions[place] for place in left])])
        judged = dict(zip(left, report.verdicts, strict=True))
        same = {place for place, verdict in judged.items() if verdict.status == "match"}
        if report.gold.status == "ok" and report.gold.rows and same:
            clusters.append(same)
            for place in same:
                verdicts[place] = judged[place]
        left = [place for place in left[1:] if place not in same]
    return verdicts, clusters


def _of_majority(verdict: Verdict) -> Verdict:
    return replace(verdict, reward=None if verdict.masked else 1.0)


def _outvoted(verdict: Verdict) -> Verdict:
    """It matched its own result alone, and that says nothing."""
    if verdict.status == "match":
        return replace(verdict, status="mismatch", reward=0.0)
    return replace(verdict, reward=None if verdict.masked else 0.0)


def _task(db_id: str, gold: str, completions: Sequence[str]) -> VerifyTask:
    return VerifyTask(
        db_id=db_id,
        gold_sql=(gold,),
        predictions=tuple(completions),
        extract="auto",
        metrics=("bird_ex",),
        reward="execution",
    )
