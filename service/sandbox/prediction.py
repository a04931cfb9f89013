"""Run one prediction, judge its rows while they stream, and tell what deserves a look."""

from collections.abc import Sequence
from typing import NamedTuple

from service.sandbox.frames import Frame
from service.sandbox.gold import Gold
from service.sandbox.limits import Limits
from service.sandbox.plan import Run
from service.sandbox.sqlite import Connection
from service.sandbox.ties import limit_cuts_ties
from service.text2sql.compare.budget import ComparisonTooHard
from service.text2sql.compare.difference import difference
from service.text2sql.compare.evidence import Evidence
from service.text2sql.compare.metrics import Comparison
from service.text2sql.compare.rows import Judge

_FIRST_BATCH, _BATCH = 64, 1024
_TIES_S = 0.02
"""A statement that takes more of the processor is not run again to look for ties."""


class Sure(NamedTuple):
    """A judge whose value is not 0 yet, and what it judges by."""

    metric: str
    comparison: Comparison
    gold: Gold
    judge: Judge


class Judged(NamedTuple):
    """What a run of a prediction gave."""

    sql: str
    evidence: Evidence
    values: dict[str, float]
    matched: Sure | None
    """By the first metric of the run."""
    volatile: bool
    reads: bool
    """It reads a table."""


def run_prediction(
    connection: Connection,
    sql: str,
    run: Run,
    golds: Sequence[Gold],
    largest: int,
    timeout_s: float,
) -> Judged:
    """Feed the rows to every judge until none is undecided; `largest` is the most rows of a gold.

    Raises ENGINE_ERRORS, and ComparisonTooHard where the search for a match exceeds its bounds.
    """
    try:
        cursor = connection.execute(sql, timeout_s)
        columns = len(cursor.description or ())
        undecided = [
            Sure(name, comparison, gold, comparison.judge(gold.rows, columns))
            for name, comparison in run.comparisons
            for gold in golds
        ]
        evidence = Evidence(columns, largest)
        size, rows = _FIRST_BATCH, None
        while undecided and (rows is None or len(rows) == size):
            size = _FIRST_BATCH if rows is None else _BATCH
            rows = cursor.fetchmany(size)
            evidence.add(rows)
            undecided = [sure for sure in undecided if sure.judge.feed(rows)]
        evidence.whole = bool(undecided)
        cursor.close()
    finally:
        connection.done()
    values = {name: 0.0 for name, _ in run.comparisons}
    matched = _values(undecided, run.comparisons[0][0], values)
    return Judged(sql, evidence, values, matched, connection.volatile(sql), bool(connection.reads))


def _values(undecided: list[Sure], first: str, values: dict[str, float]) -> Sure | None:
    """Fill in the best value of each metric; returns the match by the first one."""
    matched = None
    for sure in undecided:
        try:
            value = sure.judge.value()
        except ComparisonTooHard:
            if sure.metric == first:
                raise
            continue  # another metric's trouble
        if value > values[sure.metric]:
            values[sure.metric] = value
        if value == 1 and matched is None and sure.metric == first:
            matched = sure
    return matched


def answer_of(
    judged: Judged,
    run: Run,
    golds: Sequence[Gold],
    connection: Connection,
    used_s: float,
    diff_rows: int,
    limits: Limits,
) -> Frame:
    """The answer to the first run: status, rows, flags, difference."""
    evidence, matched = judged.evidence, judged.matched
    # A statement without columns is empty or a comment: two empty results are equal to BIRD's
    # evaluator, but it is no answer.
    answer: Frame = {"status": "ok" if evidence.columns else "no_sql"}
    if evidence.whole:
        answer["rows"] = evidence.count
    gold = (matched.gold if matched else None) or golds[0]
    flags = [] if judged.reads or not evidence.columns else ["constant_only"]
    if judged.volatile:
        flags.append("nondeterministic")
    if gold.unsteady:
        flags.append("gold_nondeterministic")
    if matched:
        flags += _flags_of_match(judged, matched, connection, used_s, limits)
    elif diff_rows:
        answer["diff"] = difference(gold.rows, evidence, run.comparisons[0][1], diff_rows)
    if flags:
        answer["flags"] = flags
    if judged.volatile or gold.volatile:
        answer["volatile"] = True
    return answer


def answer_of_gold(gold: Gold, metrics: Sequence[str]) -> Frame:
    """The answer to a prediction that is the gold, word for word or by its compiled program.

    A gold that does not ask for the clock or for chance is equal to itself by every metric.
    """
    flags = [] if gold.reads else ["constant_only"]
    if not gold.rows.rows:
        flags.append("empty_equals_empty")
    if gold.tied is not False:
        flags += ["gold_nondeterministic", "nondeterministic"] if gold.tied else ["ties_unchecked"]
    answer: Frame = {"status": "ok", "rows": len(gold.rows.rows), "flags": flags}
    return answer | {"metrics": dict.fromkeys(metrics, 1.0)}


def _flags_of_match(
    judged: Judged, matched: Sure, connection: Connection, used_s: float, limits: Limits
) -> list[str]:
    flags: list[str] = []
    if not judged.evidence.count:
        flags.append("empty_equals_empty")
    flags += judged.evidence.flags(matched.gold.rows, by_columns=matched.comparison.by_columns)
    if not judged.volatile and "limit" in judged.sql.lower():
        tied = None
        if used_s < _TIES_S:
            shape = (judged.evidence.columns, judged.evidence.count)
            tied = limit_cuts_ties(connection, judged.sql, shape, 2 * _TIES_S, limits)
        if tied is False:
            return flags
        flags.append("nondeterministic" if tied else "ties_unchecked")
    return flags
