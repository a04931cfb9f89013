"""Are two bags of rows the same under some order of the columns?

Trying all orders takes columns! passes over the rows. Here rows are put into classes that any
right order must map onto each other (at first: the same cells in any order, the same count), and
columns are placed one at a time, each splitting the classes further:

    a column that is constant within every class is settled: its values, class by class, must be
    those of a settled column of the other side, and equal ones are interchangeable;
    any other can only be a column with the same bag of (class, value); these are tried in turn.

The problem is as hard as graph isomorphism, so a budget ends the search where this does not.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from service.text2sql.compare.budget import Budget
from service.text2sql.compare.rows import Column, Row, columns_of

_STEPS, _STEPS_PER_CELL = 2_000_000, 12


def equal_up_to_columns(first: Counter[Row], second: Counter[Row]) -> bool:
    """`first` and `second` map each row to its count; raises ComparisonTooHard.

    Time is about one pass over the cells where few columns look alike, 2,000,000 + 12 * cells
    steps at most.
    """
    if len(first) != len(second):
        return False
    names: dict[Hashable, int] = {}
    mine = _named(((bag(row), count) for row, count in first.items()), names)
    theirs = _named(((bag(row), count) for row, count in second.items()), names)
    if Counter(mine) != Counter(theirs):
        return False
    columns, others = columns_of(list(first)), columns_of(list(second))
    budget = Budget(_STEPS + _STEPS_PER_CELL * len(first) * len(columns))
    return _place(mine, columns, theirs, others, budget)


def bag(row: Row) -> tuple[int, ...]:
    """Equal for rows with the same cells in any order (by hash, so rarely for others too)."""
    return tuple(sorted(map(hash, row)))


def _place(
    mine: list[int],
    columns: list[Column],
    theirs: list[int],
    others: list[Column],
    budget: Budget,
) -> bool:
    """`mine` and `theirs` are the classes of the rows, by number; every level has one more."""
    budget.spend(len(mine) * (len(columns) + len(others)))
    settled, columns = _settle(mine, columns)
    others_settled, others = _settle(theirs, others)
    if settled != others_settled:
        return False
    if not columns:
        return True
    looks, others_looks = _looks(mine, columns), _looks(theirs, others)
    if Counter(looks) != Counter(others_looks):
        return False
    candidates: dict[Hashable, dict[Column, None]] = {}
    for look, other in zip(others_looks, others, strict=True):
        candidates.setdefault(look, {})[other] = None
    at = min(range(len(looks)), key=lambda n: len(candidates[looks[n]]))
    for other in candidates[looks[at]]:
        names: dict[Hashable, int] = {}
        split = _named(zip(mine, columns[at], strict=True), names)
        others_split = _named(zip(theirs, other, strict=True), names)
        rest, others_rest = _without(columns, columns[at]), _without(others, other)
        if _place(split, rest, others_split, others_rest, budget):
            return True
    return False


def _settle(classes: list[int], columns: list[Column]) -> tuple[Counter[Column], list[Column]]:
    """The values by class of the columns that are constant within each, and the other columns."""
    settled: Counter[Column] = Counter()
    rest: list[Column] = []
    number = len(set(classes))
    for column in columns:
        if len(set(zip(classes, column, strict=True))) > number:
            rest.append(column)
        else:
            value = dict(zip(classes, column, strict=True))
            settled[tuple(value[n] for n in sorted(value))] += 1
    return settled, rest


def _looks(classes: list[int], columns: list[Column]) -> list[Hashable]:
    """The bag of (class, value) of each column."""
    return [frozenset(Counter(zip(classes, column, strict=True)).items()) for column in columns]


def _named(keys: Iterable[Hashable], names: dict[Hashable, int]) -> list[int]:
    """A number for each key, the same for equal ones."""
    return [names.setdefault(key, len(names)) for key in keys]


def _without(columns: Sequence[Column], one: Column) -> list[Column]:
    at = columns.index(one)
    return [*columns[:at], *columns[at + 1 :]]
