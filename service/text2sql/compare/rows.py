"""A gold result that is kept for comparison, and what a metric's judge looks like."""

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from service.text2sql.sqltext import orders_rows

Row = tuple[Any, ...]
Column = tuple[Any, ...]
T = TypeVar("T")


class _Lazy(Generic[T]):
    """An attribute that is computed when first read, then kept.

    As functools.cached_property, without the lock that makes its first read cost 1 µs in Python
    3.11: most golds are asked for each part once.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__
        self._name = make.__name__

    @overload
    def __get__(self, owner: None, kind: type) -> "_Lazy[T]": ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: object | None, kind: type) -> "_Lazy[T] | T":
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._make(owner)
        return value


class GoldRows:
    """A gold result: the statement that was run, the number of its columns, all its rows.

    `size` is its approximate number of bytes, without the parts below. Each part is computed when
    the first judge asks for it; none may be changed.
    """

    def __init__(self, sql: str, columns: int, rows: list[Row], size: int = 0) -> None:
        self.sql = sql
        self.columns = columns
        self.rows = rows
        self.size = size

    @_Lazy
    def distinct(self) -> frozenset[Row]:
        """The rows without their duplicates."""
        return frozenset(self.rows)

    @_Lazy
    def firsts(self) -> list[Row]:
        """The rows in their order, each only where it comes first."""
        return list(dict.fromkeys(self.rows))

    @_Lazy
    def counted(self) -> Counter[Row]:
        """How often each row is there."""
        return Counter(self.rows)

    @_Lazy
    def typed(self) -> Counter[Row]:
        """How often each typed row is there."""
        return Counter(map(typed, self.rows))

    @_Lazy
    def ordered(self) -> bool:
        """True if the statement's outermost query has an ORDER BY."""
        return orders_rows(self.sql)

    @_Lazy
    def _parts(self) -> dict[Callable[["GoldRows"], Any], Any]:
        return {}

    def part(self, make: Callable[["GoldRows"], T]) -> T:
        """What `make` computes from this gold, computed once: for what one metric alone needs."""
        if make not in self._parts:
            self._parts[make] = make(self)
        return cast(T, self._parts[make])


class Judge(Protocol):
    """One metric on one prediction, made as `judge(gold, columns)`.

    `columns` is the number of the prediction's columns. `feed` it batches of rows until it returns
    False or the rows end; ask for its `value` once, after all rows were fed without a False.
    """

    def feed(self, rows: Sequence[Row]) -> bool:
        """Take the next rows; False when the value can only be 0."""

    def value(self) -> float:
        """The metric, 0 to 1; raises ComparisonTooHard (budget.py) where it must search."""


def typed(row: Row) -> Row:
    """A key under which 1 and 1.0 differ: the types, then the values."""
    return (*map(type, row), *row)


def columns_of(rows: Sequence[Row]) -> list[Column]:
    """The columns of rows of one width; none for no rows."""
    # zip(*rows) would make an iterator for every row, 100 MB for a million.
    width = len(rows[0]) if rows else 0
    return [tuple(map(itemgetter(n), rows)) for n in range(width)]
