"""Groups that imitate a policy in the middle of its training: constructed, not sampled.

An untuned 0.5B model is more diverse and more often wrong than a policy that has been trained for
a while, so its groups alone would say little about training. Both rules resample a group from its
own 16 real completions, with replacement, by a fixed seed:

sharpened      a completion's chance is proportional to n**K, n being how many of the group have
               the same SQL: what a lower entropy does. K = 2.
mid_training   first, with the chance max(0.5, the group's own share of right ones), a right
               completion is drawn if there is one, else a wrong one; within either, as above.

Groups without a right completion stay without one.
"""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from bench.judge_groups import RUNAWAY, sql_of

Row = dict[str, Any]
Rule = Literal["sharpened", "mid_training"]
K = 2.0
RIGHT_SHARE = 0.5


def constructed(rows: Sequence[Row], rule: Rule, seed: int = 0) -> list[Row]:
    """Each group (with `right` and `ms`, as judge_groups.py writes them) resampled by the rule."""
    return [_resampled(row, rule, random.Random(f"{seed}/{row['question_id']}")) for row in rows]


def without_runaways(rows: Sequence[Row]) -> list[Row]:
    """The groups without completions that run for more than 5 s; empty groups are left out."""
    kept = []
    for row in rows:
        places = [i for i, ms in enumerate(row["ms"]) if ms != RUNAWAY]
        if places:
            kept.append(row | _taken(row, places))
    return kept


def _resampled(row: Row, rule: Rule, dice: random.Random) -> Row:
    size = len(row["completions"])
    sqls = [sql_of(completion) for completion in row["completions"]]
    counts = Counter(sqls)
    # n completions share the chance n**K of their SQL.
    weights = [counts[sql] ** (K - 1) for sql in sqls]
    places = [_draw(row, rule, weights, dice) for _ in range(size)]
    return row | _taken(row, places)


def _draw(row: Row, rule: Rule, weights: Sequence[float], dice: random.Random) -> int:
    places = list(range(len(weights)))
    if rule == "mid_training":
        right = [i for i in places if row["right"][i]]
        wrong = [i for i in places if not row["right"][i]]
        share = max(RIGHT_SHARE, len(right) / len(places))
        places = (right or wrong) if dice.random() < share else (wrong or right)
    return dice.choices(places, [weights[i] for i in places])[0]


def _taken(row: Row, places: Sequence[int]) -> Row:
    return {name: [row[name][i] for i in places] for name in ("completions", "right", "ms")}
