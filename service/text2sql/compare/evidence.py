"""What a match passed over: duplicates, order, types. Near nothing for results of one row."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from service.text2sql.compare.rows import Column, GoldRows, Row, columns_of, typed
from service.text2sql.types import Flag

_ROOM = 64


class Evidence:
    """The rows of one prediction as they were fed to its judges.

    Keeps references to at most `keep` rows, which must be no less than the rows of the largest
    gold; of a prediction with more, the distinct rows in order of their first coming, twice `keep`,
    64 and one batch at most.
    """

    __slots__ = ("_batches", "_firsts", "_keep", "columns", "count", "whole")

    def __init__(self, columns: int, keep: int) -> None:
        self.columns = columns
        self.count = 0
        self.whole = False
        """To be set when the prediction's last row was added."""
        self._keep = keep
        self._batches: list[Sequence[Row]] = []
        self._firsts: dict[Row, Row] | None = None

    def add(self, rows: Sequence[Row]) -> None:
        """Take note of a batch, which must not be changed afterwards."""
        if not rows:
            return
        self.count += len(rows)
        if self.count <= self._keep:
            self._batches.append(rows)
            return
        if self._firsts is None:
            self._firsts = {typed(row): row for row in self.rows()}
            self._batches = []
        if self.every_distinct:
            for row in rows:
                self._firsts.setdefault(typed(row), row)

    @property
    def every_row(self) -> bool:
        """Whether no row that was added has been dropped."""
        return self._firsts is None

    @property
    def every_distinct(self) -> bool:
        """Whether no row that was added has been dropped unless a like one is kept."""
        return self._firsts is None or len(self._firsts) <= 2 * self._keep + _ROOM

    def rows(self) -> Sequence[Row]:
        """The kept rows, in order: all of them if there were no more than `keep`."""
        if self._firsts is not None:
            return list(self._firsts.values())
        if len(self._batches) == 1:
            return self._batches[0]
        return list(chain.from_iterable(self._batches))

    def flags(self, gold: GoldRows, *, by_columns: bool = False) -> list[Flag]:
        """What the match with `gold` passed over; `by_columns` where their order is free.

        duplicates_ignored   the sets of rows are equal, the multisets are not
        order_ignored        the gold's outermost query orders, and the rows, each where it comes
                             first, are in another order
        type_coerced         rows are equal only because 1 == 1.0
        """
        if self.count == 1 and len(gold.rows) == 1 and not by_columns:
            (mine,), (row,) = gold.rows, self._batches[0]
            same = list(map(type, mine)) == list(map(type, row)) or mine != row
            return [] if same else ["type_coerced"]
        if not self.count:
            return []
        rows = self.rows()
        if by_columns:
            return _flags_of_columns(gold, columns_of(rows))
        return _flags_of_rows(gold, rows, self.count)


def _flags_of_rows(gold: GoldRows, rows: Sequence[Row], count: int) -> list[Flag]:
    if count == len(gold.rows) and rows == gold.rows:
        return [] if _types(rows) == gold.part(_gold_types) else ["type_coerced"]
    if frozenset(rows) != gold.distinct:
        return []  # soft F1 of 1.0 with cells in other places
    flags: list[Flag] = []
    if count != len(gold.rows) or (count != len(gold.distinct) and Counter(rows) != gold.counted):
        flags.append("duplicates_ignored")
    if gold.ordered and list(dict.fromkeys(rows)) != gold.firsts:
        flags.append("order_ignored")
    if _coerced(gold, rows):
        flags.append("type_coerced")
    return flags


def _coerced(gold: GoldRows, rows: Sequence[Row]) -> bool:
    """Whether equal rows differ in type, which only integers and floats can."""
    kinds = (
        gold_kinds | set(map(type, column))
        for gold_kinds, column in zip(gold.part(_kinds), columns_of(rows), strict=True)
    )
    if not any(int in found and float in found for found in kinds):
        return False
    return set(map(typed, rows)) != gold.typed.keys()


def _types(rows: Sequence[Row]) -> list[type]:
    return list(map(type, chain.from_iterable(rows)))


def _gold_types(gold: GoldRows) -> list[type]:
    return _types(gold.rows)


def _kinds(gold: GoldRows) -> list[frozenset[type]]:
    return [frozenset(map(type, column)) for column in columns_of(gold.rows)]


def _flags_of_columns(gold: GoldRows, columns: list[Column]) -> list[Flag]:
    """Each gold column looks for its like: same cells in any order, in the same, of the same types.

    A gold column with no equal cells anywhere (it matched within a tolerance) says nothing of the
    order and counts as coerced.
    """
    bags, sequences, types = set(map(_bag, columns)), set(columns), set(map(_typed_bag, columns))
    flags: list[Flag] = []
    mine = columns_of(gold.rows)
    if gold.ordered and any(c not in sequences and _bag(c) in bags for c in mine):
        flags.append("order_ignored")
    if any(_typed_bag(column) not in types for column in mine):
        flags.append("type_coerced")
    return flags


def _bag(column: Column) -> frozenset[tuple[object, int]]:
    return frozenset(Counter(column).items())


def _typed_bag(column: Column) -> frozenset[tuple[object, int]]:
    return frozenset(Counter(zip(map(type, column), column, strict=True)).items())
