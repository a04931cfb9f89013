"""Spider 2.0-lite's metric: every gold column must be some predicted column.

xlang-ai/Spider2 spider2-lite/evaluation_suite/evaluate_utils.py (`compare_pandas_table`), as
NVIDIA-NeMo/Gym resources_servers/spider2_lite/eval_utils.py (`compare_result_sets`) has it for
SQLite: all gold columns count, order is ignored, tolerance 0.01. Predicted columns may be more,
stand in any order, and serve several gold columns. NULL is 0; text that reads as a number is that
number, by Python's int() and float(); numbers are equal within 0.01 or a relative 1e-9
(math.isclose). Each column is sorted by itself, by its cells' text, so the cells of a row need not
stay together. Both empty is 1, one empty is 0.

Sorting by text puts 9.999 and 10.001 far apart, so the tolerance does not always help. Text that
reads as an integer beyond the range of a float makes the evaluator fail, which is 0.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from service.text2sql.compare.budget import Budget
from service.text2sql.compare.rows import Column, GoldRows, Row, columns_of

_TOLERANCE = 1e-2
_STEPS, _STEPS_PER_CELL, _STEPS_PER_PAIR = 5_000_000, 8, 8
_SHORTEST_HUGE = 309  # characters of an integer that may be beyond a float's range


class Spider2Lite:
    """Gold columns found among the predicted columns; 0 or 1."""

    __slots__ = ("_gold", "_rows")

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold
        self._rows: list[Row] = []

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop at a row too many."""
        self._rows += rows
        return len(self._rows) <= len(self._gold.rows)

    def value(self) -> float:
        """1.0 if every gold column was found; raises ComparisonTooHard."""
        if len(self._rows) != len(self._gold.rows):
            return 0.0
        if not self._rows:
            return 1.0
        cells = len(self._rows) * (len(self._rows[0]) + self._gold.columns)
        budget = Budget(_STEPS + _STEPS_PER_CELL * cells)
        try:
            return float(_all_found(self._gold, self._rows, budget))
        except OverflowError:
            return 0.0


def _all_found(gold: GoldRows, rows: list[Row], budget: Budget) -> bool:
    vectors = _vectors(rows)
    # Equal vectors match, unless the evaluator fails at a huge integer first: then look at each.
    exact = frozenset() if gold.part(_gold_huge) or _any_huge(rows) else frozenset(vectors)
    return all(
        mine in exact or any(_match(mine, theirs, budget) for theirs in vectors)
        for mine in gold.part(_gold_vectors)
    )


def _match(mine: Column, theirs: Column, budget: Budget) -> bool:
    """Whether all cells agree; raises OverflowError at an integer that is no float."""
    for at, (a, b) in enumerate(zip(mine, theirs, strict=True)):
        if isinstance(a, int | float) and isinstance(b, int | float):
            differ = not math.isclose(float(a), float(b), abs_tol=_TOLERANCE)
        else:
            differ = a != b
        if differ:
            budget.spend(at + _STEPS_PER_PAIR)
            return False
    budget.spend(len(mine) + _STEPS_PER_PAIR)
    return True


def _gold_vectors(gold: GoldRows) -> list[Column]:
    return _vectors(gold.rows)


def _gold_huge(gold: GoldRows) -> bool:
    return _any_huge(gold.rows)


def _any_huge(rows: list[Row]) -> bool:
    return any(type(cell) is str and len(cell) >= _SHORTEST_HUGE for row in rows for cell in row)


def _vectors(rows: list[Row]) -> list[Column]:
    """The columns, each sorted by itself; of equal ones the first, as the rest changes nothing."""
    columns = (map(_number, column) for column in columns_of(rows))
    return list(dict.fromkeys(_sorted_by_text(column) for column in columns))


def _sorted_by_text(cells: Iterable[Any]) -> Column:
    return tuple(sorted(cells, key=lambda cell: (str(cell), isinstance(cell, int | float))))


def _number(cell: Any) -> Any:
    """The cell as the evaluator compares it: NULL and not-a-number are 0, text may be a number."""
    if cell is None:
        return 0
    if not isinstance(cell, str):
        return cell
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        number = float(cell)
    except ValueError:
        return cell
    return 0 if math.isnan(number) else number
