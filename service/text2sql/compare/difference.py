"""How a prediction's rows differ from the gold's, small enough to be read and sent as JSON."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import isfinite
from typing import Any

from service.text2sql.compare.evidence import Evidence
from service.text2sql.compare.metrics import Comparison
from service.text2sql.compare.rows import GoldRows, Row, typed

Key = Callable[[Row], Row]
_CELLS, _CHARACTERS = 8, 80


def difference(
    gold: GoldRows, evidence: Evidence, comparison: Comparison, diff_rows: int
) -> dict[str, object]:
    """What is different, after a mismatch.

    `kind` is "columns" where their numbers differ (rows are not looked at then), "order" where the
    same rows came in another order, else "rows". `missing_rows` and `extra_rows` are at most
    `diff_rows` examples, in the order they come: 8 cells of a row, 80 characters of a text.
    `missing` and `extra` count them all; None where the comparison stopped early and it is not
    known (`complete` is then False).
    """
    if evidence.columns != gold.columns:
        return _answer("columns", gold, evidence, [], [])
    counted = comparison.counts_duplicates
    rows, distinct = evidence.rows(), evidence.every_distinct
    complete = evidence.whole and (evidence.every_row if counted else distinct)
    if counted:
        key = typed if comparison.typed else _same
        have = gold.typed if comparison.typed else gold.counted
        mine, extra = gold.rows, list(_surplus(rows, have, key))
        missing = _surplus(mine, Counter(map(key, rows)), key)
    elif not complete:  # mostly: what is missing is not known, and a few extra rows are enough
        mine = gold.rows
        others = (row for row in dict.fromkeys(rows) if row not in gold.distinct)
        extra, missing = list(islice(others, max(1, diff_rows))), iter(())
    else:
        mine, rows = gold.firsts, list(dict.fromkeys(rows))
        extra = [row for row in rows if row not in gold.distinct]
        there = frozenset(rows)
        missing = (row for row in mine if row not in there)
    absent = len(mine) - (len(rows) - len(extra))
    kind = "rows" if extra or (complete and absent) else "order"
    examples = islice(missing, diff_rows if complete else 0)
    answer = _answer(kind, gold, evidence, list(examples), extra[:diff_rows])
    if complete:
        answer |= {"missing": absent, "extra": len(extra), "complete": True}
    return answer


def _answer(
    kind: str, gold: GoldRows, evidence: Evidence, missing: list[Row], extra: list[Row]
) -> dict[str, object]:
    return {
        "kind": kind,
        "gold_columns": gold.columns,
        "predicted_columns": evidence.columns,
        "missing_rows": list(map(_jsonable, missing)),
        "extra_rows": list(map(_jsonable, extra)),
        "missing": None,
        "extra": None,
        "complete": False,
    }


def _same(row: Row) -> Row:
    return row


def _surplus(rows: Iterable[Row], others: Counter[Row], key: Key) -> Iterator[Row]:
    """The rows that are there more often than `others` has them."""
    count: Counter[Row] = Counter()
    for row in rows:
        name = key(row)
        count[name] += 1
        if count[name] > others[name]:
            yield row


def _jsonable(row: Row) -> list[Any]:
    return list(map(_cell, islice(row, _CELLS)))


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<blob {len(value)} bytes>"
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, str) and len(value) > _CHARACTERS:
        return value[: _CHARACTERS - 1] + "…"
    return value
