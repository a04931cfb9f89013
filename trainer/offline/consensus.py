"""Scores without gold: the result that most of a question's candidates agree on counts as right.

What a customer has who brings questions and a database, and no labels (TAO's promise). Equality is
the verifier's own: each candidate is judged against one of the cluster as if that were the gold.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from service.text2sql.completion.extract import extract_sql
from service.text2sql.types import Verdict, VerifyReport, VerifyTask

Verify = Callable[[Sequence[VerifyTask]], list[VerifyReport]]
_NOTHING = "SELECT NULL WHERE 0"
"""Stands for a completion without SQL: no rows, so nobody agrees with it."""
_LEAST = 2
"""Candidates of a majority: one alone agrees with nobody."""


def agreed(db_id: str, completions: Sequence[str], verify: Verify) -> list[Verdict]:
    """Verdicts in the order of the completions: reward 1 in the largest cluster, 0 outside of it.

    All rewards are None where no two candidates agree on a result that has rows, and where two
    clusters are equally large: then nobody knows.
    """
    verdicts, clusters = _clustered(db_id, completions, verify)
    sizes = sorted((len(cluster) for cluster in clusters), reverse=True)
    if not sizes or sizes[0] < _LEAST or sizes.count(sizes[0]) > 1:
        return [replace(verdict, reward=None) for verdict in verdicts]
    largest = max(clusters, key=len)
    return [
        replace(verdict, reward=float(place in largest)) for place, verdict in enumerate(verdicts)
    ]


def _clustered(
    db_id: str, completions: Sequence[str], verify: Verify
) -> tuple[list[Verdict], list[set[int]]]:
    """One round for each cluster: its first member is the gold that the others are judged by."""
    found: dict[int, Verdict] = {}
    clusters: list[set[int]] = []
    left = list(range(len(completions)))
    while left:
        sql = extract_sql(completions[left[0]], "auto") or _NOTHING
        (report,) = verify([_task(db_id, sql, [completions[place] for place in left])])
        verdicts = dict(zip(left, report.verdicts, strict=True))
        same = {place for place, verdict in verdicts.items() if verdict.status == "match"}
        same = same if report.gold.status == "ok" and report.gold.rows else set()
        if same:
            clusters.append(same)
        settled = same | {left[0]}
        found |= {place: verdicts[place] for place in settled}
        left = [place for place in left if place not in settled]
    return [found[place] for place in range(len(completions))], clusters


def _task(db_id: str, gold: str, completions: Sequence[str]) -> VerifyTask:
    return VerifyTask(
        db_id=db_id,
        gold_sql=(gold,),
        predictions=tuple(completions),
        extract="auto",
        metrics=("bird_ex",),
        reward="execution",
    )
