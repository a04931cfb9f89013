"""Are a prediction's rows on a copy the gold's rows, as a metric counts it, floats within reason.

More lenient than the metric where plans that mean the same may differ: sums of floats by 1e-9,
order among rows that tie in the gold's ORDER BY. Standard library only.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import isclose
from typing import Any

Row = tuple[Any, ...]
Close = Callable[[Row, Row], bool]

_SETS = frozenset({"bird_ex", "bird_r_ves"})
_REL_TOL = 1e-9
_MOST_LEFT = 400
"""Rows without an exact partner that are compared pairwise; more are called different."""
_MOST_PERMUTED = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """A gold's rows; `segments` are runs of rows that may change places, None without an order."""

    rows: list[Row]
    columns: int
    segments: list[int] | None = None
    """Length of each run."""


def same(metric: str, gold: Answer, rows: list[Row], columns: int) -> bool:
    """Whether the metric would call the rows a match."""
    if not rows and not gold.rows:
        return metric != "strict" or columns == gold.columns
    if metric == "spider2_lite":
        return _contains_columns(gold.rows, rows)
    if columns != gold.columns:
        return False
    if metric in _SETS:
        return _same_set(gold.rows, rows)
    if metric == "bird_soft_f1":
        return _same_set(map(_unordered, gold.rows), map(_unordered, rows))
    if metric == "bag":
        return _same_bag(gold.rows, rows)
    if metric == "strict":
        return _same_runs(gold, list(map(_typed, gold.rows)), list(map(_typed, rows)))
    if metric == "spider_exec" and (_repeats(rows) or _repeats(gold.rows)):
        # It strips DISTINCT from both queries, so that how often a row comes says nothing.
        gold = Answer(list(dict.fromkeys(gold.rows)), columns)
        rows = list(dict.fromkeys(rows))
    return _same_permuted(gold, rows, columns)


def _repeats(rows: list[Row]) -> bool:
    return len(set(rows)) < len(rows)


def segments(ascending: Sequence[Row], descending: Sequence[Row]) -> list[int]:
    """Lengths of the runs of rows that tie, from two results that break ties in opposite ways."""
    found, start = [], 0
    open_rows: Counter[Row] = Counter()
    for place, (left, right) in enumerate(zip(ascending, descending, strict=False)):
        for row, step in ((left, 1), (right, -1)):
            open_rows[row] += step
            if not open_rows[row]:
                del open_rows[row]
        if not open_rows:
            found.append(place + 1 - start)
            start = place + 1
    return found


def _same_runs(gold: Answer, expected: list[Row], rows: list[Row]) -> bool:
    """The same multiset of rows, in each run by itself where the gold orders."""
    if len(expected) != len(rows):
        return False
    start = 0
    for length in [len(rows)] if gold.segments is None else gold.segments:
        run = slice(start, start + length)
        if not _same_bag(expected[run], rows[run]):
            return False
        start += length
    return True


def _same_bag(expected: Sequence[Row], rows: Sequence[Row]) -> bool:
    left, right = Counter(expected), Counter(rows)
    missing, extra = list((left - right).elements()), list((right - left).elements())
    if len(missing) != len(extra) or len(missing) > _MOST_LEFT:
        return False
    for row in missing:
        partner = next((other for other in extra if _close(row, other)), None)
        if partner is None:
            return False
        extra.remove(partner)
    return True


def _same_set(expected: Iterable[Row], rows: Iterable[Row]) -> bool:
    left, right = set(expected), set(rows)
    missing, extra = left - right, right - left
    if len(missing) + len(extra) > _MOST_LEFT:
        return False
    return all(any(_close(row, other) for other in right) for row in missing) and all(
        any(_close(row, other) for other in left) for row in extra
    )


def _close(left: Row, right: Row) -> bool:
    return all(map(_close_values, left, right))


def _close_values(left: Any, right: Any) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        return numbers and isclose(left, right, rel_tol=_REL_TOL, abs_tol=1e-12)
    return bool(left == right)


def _typed(row: Row) -> Row:
    return (*map(type, row), *row)


def _unordered(row: Row) -> Row:
    return tuple(sorted(row, key=lambda value: (str(type(value)), value is None, str(value))))


def _same_permuted(gold: Answer, rows: list[Row], columns: int) -> bool:
    """Equal under some order of the predicted columns."""
    if len(rows) != len(gold.rows):
        return False
    if _same_runs(gold, gold.rows, rows):
        return True
    if columns > _MOST_PERMUTED:
        return False
    return any(
        _same_runs(gold, gold.rows, [tuple(row[place] for place in order) for row in rows])
        for order in permutations(range(columns))
    )


def _contains_columns(expected: list[Row], rows: list[Row]) -> bool:
    """Each gold column, sorted, is some predicted column, sorted (numbers within 0.01)."""
    if len(expected) != len(rows):
        return False
    offered = [sorted(map(_number, column), key=_sortable) for column in zip(*rows, strict=True)]
    return all(
        any(all(map(_near, wanted, column)) for column in offered)
        for wanted in (
            sorted(map(_number, column), key=_sortable) for column in zip(*expected, strict=True)
        )
    )


def _number(value: Any) -> Any:
    if value is None:
        return 0
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _sortable(value: Any) -> tuple[bool, Any]:
    return (
        not isinstance(value, int | float),
        value if isinstance(value, int | float) else str(value),
    )


def _near(left: Any, right: Any) -> bool:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    return isclose(left, right, rel_tol=_REL_TOL, abs_tol=1e-2) if numbers else bool(left == right)
