"""Decide whether a prediction's rows are the gold's rows, while they stream in.

Standard library only: the sandbox worker imports this file. Each metric has one class with the same
three steps: made from the gold, fed with batches of rows, asked for its value.

    bird_ex   set(predicted rows) == set(gold rows), rows as Python tuples: duplicates and order are
              ignored, column names too, column order counts, 1 == 1.0. Two empty results are equal
              whatever their columns. (BIRD, Li et al. 2023, arXiv 2305.03111, evaluation.py)
    strict    the same multiset of rows; the same sequence where the gold's outermost query has an
              ORDER BY; equal number of columns even when empty; 1 and 1.0 and '1' differ.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from service.text2sql.sqltext import orders_rows

Row = tuple[Any, ...]


class GoldRows:
    """A gold result that is kept for comparison."""

    def __init__(self, sql: str, columns: int, rows: list[Row], size: int = 0) -> None:
        self.columns = columns
        self.rows = rows
        self.size = size
        """Approximate bytes."""
        self.ordered = orders_rows(sql)
        self.distinct = frozenset(rows)

    @cached_property
    def counted(self) -> Counter[Row]:
        """How often each typed row is there."""
        return Counter(map(_typed, self.rows))


class Judge(Protocol):
    """One metric on one prediction; `feed` until it returns False or the rows end."""

    def feed(self, rows: Sequence[Row]) -> bool:
        """Take the next rows; False when the value can only be 0."""

    def value(self) -> float:
        """1.0 or 0.0, asked once all rows were fed without a False."""


class BirdEx:
    """Execution accuracy as BIRD's own evaluator computes it."""

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold.distinct
        self._seen: set[Row] = set()

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop at the first row that the gold does not have."""
        batch = set(rows)
        if not batch <= self._gold:
            return False
        self._seen |= batch
        return True

    def value(self) -> float:
        """1.0 if every distinct gold row was seen."""
        return float(len(self._seen) == len(self._gold))


class Strict:
    """Multiset of typed rows, in the gold's order where the gold orders."""

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold
        self._possible = columns == gold.columns
        self._count = 0
        self._seen: Counter[Row] = Counter()

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop at the first row that is too many, out of place or of another type."""
        start, self._count = self._count, self._count + len(rows)
        if not self._possible or self._count > len(self._gold.rows):
            return False
        if self._gold.ordered:
            pairs = zip(rows, self._gold.rows[start : self._count], strict=True)
            return all(_typed(mine) == _typed(theirs) for mine, theirs in pairs)
        return all(self._take(_typed(row)) for row in rows)

    def _take(self, row: Row) -> bool:
        self._seen[row] += 1
        return self._seen[row] <= self._gold.counted[row]

    def value(self) -> float:
        """1.0 if exactly the gold's rows were seen."""
        return float(self._possible and self._count == len(self._gold.rows))


JUDGES: dict[str, type[BirdEx] | type[Strict]] = {"bird_ex": BirdEx, "strict": Strict}


def _typed(row: Row) -> tuple[Any, ...]:
    return (*map(type, row), *row)
