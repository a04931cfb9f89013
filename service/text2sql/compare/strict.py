"""Our own metric: the same multiset of typed rows, in the gold's order where the gold orders.

Column positions count, and so does their number even when both results are empty; 1, 1.0 and '1'
differ.
"""

from collections import Counter
from collections.abc import Sequence

from service.text2sql.compare.rows import GoldRows, Row, typed


class Strict:
    """Typed multiset, or sequence where the gold's outermost query has an ORDER BY; 0 or 1."""

    __slots__ = ("_count", "_gold", "_possible", "_seen")

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
            theirs = self._gold.rows[start : self._count]
            return list(map(typed, rows)) == list(map(typed, theirs))
        return all(self._take(typed(row)) for row in rows)

    def _take(self, row: Row) -> bool:
        self._seen[row] += 1
        return self._seen[row] <= self._gold.typed[row]

    def value(self) -> float:
        """1.0 if exactly the gold's rows were seen."""
        return float(self._possible and self._count == len(self._gold.rows))
