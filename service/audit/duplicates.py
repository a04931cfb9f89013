"""Questions that are asked twice, with the same answer or with another, and golds used twice: pure.

Whether two golds say the same is decided by what they return, where both have run, so a rewriting
is no contradiction.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from service.audit.kinds import Finding
from service.audit.normal import same_gold, same_question
from service.pages.texts import counted
from service.sandbox.examining import Examined
from service.text2sql.questions import Question

Rows = Mapping[int, Question]
"""Questions by their row; a faulty row is not there."""


def duplicates(rows: Rows, golds: Mapping[int, Examined]) -> Iterator[Finding]:
    """A finding for every contradicting row; for a repetition, one for all rows but the first."""
    repeated: set[int] = set()
    for same in _groups(rows, lambda q: (q.db_id, same_question(q.question))):
        for finding in _asked_again(same, rows, golds):
            repeated.add(finding.row)
            yield finding
    for first, *later in _groups(rows, lambda q: (q.db_id, same_gold(q.gold_sql))):
        for row in later:
            if row not in repeated:
                yield Finding("duplicate_gold", row, f"same gold as row {first}", (first,))


def _asked_again(
    same: Sequence[int], rows: Rows, golds: Mapping[int, Examined]
) -> Iterator[Finding]:
    contradicting: set[int] = set()
    for told in _groups({n: rows[n] for n in same}, lambda q: same_question(q.evidence)):
        for row, other in _contradictions([n for n in told if _is_sound(golds.get(n))], golds):
            contradicting.add(row)
            yield Finding("contradicting_question", row, _how(row, other, golds), (other,))
    firsts: dict[str, int] = {}
    for row in (n for n in same if n not in contradicting):
        first = firsts.setdefault(_answer(rows[row], golds.get(row)), row)
        if first != row:
            yield Finding("duplicate_question", row, f"same question as row {first}", (first,))


def _contradictions(
    sound: Sequence[int], golds: Mapping[int, Examined]
) -> Iterator[tuple[int, int]]:
    """Each row with the first one whose gold returns something else."""
    if len({golds[row].digest for row in sound}) < 2:
        return
    first = sound[0]
    unlike = next(n for n in sound if golds[n].digest != golds[first].digest)
    for row in sound:
        yield row, unlike if golds[row].digest == golds[first].digest else first


def _answer(question: Question, gold: Examined | None) -> str:
    """Equal for golds that return the same; where that says nothing, for the same text."""
    if gold is not None and _is_sound(gold):
        return f"rows {gold.digest}"
    return f"text {same_gold(question.gold_sql)}"


def _is_sound(gold: Examined | None) -> bool:
    """It runs, and always gives the same: only such a gold can contradict another."""
    return gold is not None and gold.status == "ok" and gold.determinate is not False


def _how(row: int, other: int, golds: Mapping[int, Examined]) -> str:
    a, b = golds[row], golds[other]
    if (a.rows, a.columns) == (b.rows, b.columns):
        return f"same question as row {other}, whose gold returns other values"
    return f"same question as row {other}: {_shape(a)} here, {_shape(b)} there"


def _shape(gold: Examined) -> str:
    return f"{counted(gold.rows, 'row')} of {counted(gold.columns, 'column')}"


def _groups(rows: Rows, key: Callable[[Question], object]) -> list[list[int]]:
    """Rows of equal key, in order of first appearance, those that stand alone left out."""
    found: dict[object, list[int]] = defaultdict(list)
    for row, question in rows.items():
        found[key(question)].append(row)
    return [same for same in found.values() if len(same) > 1]
