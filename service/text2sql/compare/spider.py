"""Spider's test-suite execution metric: equal bags of rows under some order of the columns.

Zhong et al. 2020, arXiv 2010.02840; taoyds/test-suite-sql-eval exec_eval.py, `result_eq`.
Duplicates count; rows are compared as sequences where the text 'order by' (with one space) is
anywhere in the prepared gold; cells by Python's ==, without tolerance; two empty results are equal
whatever their columns. What it does to the texts first is in spider_text.py.

One fault of it is kept: before it looks for an order of the columns it sorts the cells of each row
by their text, so that a row with 1.0 instead of 1, or -0.0 instead of 0.0, may sort differently and
is then refused although the cells are equal.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from service.text2sql.compare.permutation import bag, equal_up_to_columns
from service.text2sql.compare.rows import GoldRows, Row, columns_of


class SpiderExec:
    """Bag equality up to the order of columns; 0 or 1."""

    __slots__ = ("_gold", "_possible", "_rows")

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold
        self._possible = columns == gold.columns or not gold.rows
        self._rows: list[Row] = []

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop at a row too many, or one whose cells are in no gold row in any order."""
        self._rows += rows
        if not self._possible or len(self._rows) > len(self._gold.rows):
            return False
        if self._gold.distinct.issuperset(rows):
            return True
        bags = self._gold.part(_bags)
        return all(bag(row) in bags for row in rows)

    def value(self) -> float:
        """1.0 if equal; raises ComparisonTooHard."""
        if len(self._rows) != len(self._gold.rows) or not self._possible:
            return 0.0
        return float(not self._rows or _equal(self._gold, self._rows))


def _equal(gold: GoldRows, rows: list[Row]) -> bool:
    """Both have the same number of rows, at least one, and of columns."""
    ordered = gold.part(_says_order_by)
    if gold.columns > 1 and _refused(gold, rows, ordered):
        return False
    if rows == gold.rows:
        return True
    if ordered:
        return Counter(columns_of(gold.rows)) == Counter(columns_of(rows))
    counted = Counter(rows)
    if counted == gold.counted:
        return True
    return gold.columns > 1 and equal_up_to_columns(gold.counted, counted)


def _refused(gold: GoldRows, rows: list[Row], ordered: bool) -> bool:
    # Equal values of one type have equal texts, except for 0.0 and -0.0: without a float on either
    # side the evaluator's filter lets every equal bag pass.
    if not gold.part(_has_float) and not _any_float(rows):
        return False
    mine, theirs = gold.part(_by_text), list(map(_sorted_by_text, rows))
    return mine != theirs if ordered else set(mine) != set(theirs)


def _bags(gold: GoldRows) -> frozenset[tuple[int, ...]]:
    return frozenset(map(bag, gold.rows))


def _says_order_by(gold: GoldRows) -> bool:
    return "order by" in gold.sql.lower()


def _has_float(gold: GoldRows) -> bool:
    return _any_float(gold.rows)


def _any_float(rows: Iterable[Row]) -> bool:
    return any(float in map(type, row) for row in rows)


def _by_text(gold: GoldRows) -> list[Row]:
    return list(map(_sorted_by_text, gold.rows))


def _sorted_by_text(row: Row) -> Row:
    return tuple(sorted(row, key=lambda cell: f"{cell!s}{type(cell)}"))
