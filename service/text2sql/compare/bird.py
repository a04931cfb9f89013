"""BIRD's metrics: execution accuracy and soft F1.

bird_ex is `set(predicted rows) == set(gold rows)` over Python tuples (Li et al. 2023, arXiv
2305.03111; AlibabaResearch/DAMO-ConvAI bird/llm/src/evaluation.py): duplicates and the order of
rows are ignored, column names too, the order of columns counts, 1 == 1.0. Two empty results are
equal whatever their columns.

bird_soft_f1 (bird-bench/mini_dev evaluation/evaluation_f1.py) removes duplicates, keeps the order,
and pairs the i-th row with the i-th row. For a pair, over the number of gold columns:

    matched = predicted cells that the gold row has anywhere
    extra   = predicted cells that it has not
    missing = gold cells that the predicted row has nowhere

A row without partner counts 1 missing or 1 extra. With tp, fp, fn their sums over all rows,
precision = tp / (tp + fp), recall = tp / (tp + fn), F1 = 2 p r / (p + r); range [0, 1]; 0 where a
denominator is 0; 1 where both results are empty.
"""

from collections.abc import Sequence

from service.text2sql.compare.rows import GoldRows, Row

_WIDE = 8


class BirdEx:
    """Set equality of rows; 0 or 1."""

    __slots__ = ("_gold", "_seen")

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold.distinct
        self._seen: set[Row] | None = None

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop at the first batch with a row that the gold does not have."""
        batch = set(rows)
        if not batch <= self._gold:
            return False
        if self._seen is None:
            self._seen = batch
        else:
            self._seen |= batch
        return True

    def value(self) -> float:
        """1.0 if every distinct gold row was seen."""
        return 1.0 if len(self._seen or ()) == len(self._gold) else 0.0


class BirdSoftF1:
    """Cells that agree, row by row."""

    __slots__ = ("_extra", "_gold", "_matched", "_missing", "_seen")

    def __init__(self, gold: GoldRows, columns: int) -> None:
        self._gold = gold.firsts
        self._seen: set[Row] = set()
        self._matched = self._extra = self._missing = 0.0

    def feed(self, rows: Sequence[Row]) -> bool:
        """Stop once every gold row has a partner and no cell agreed: nothing can any more."""
        seen = self._seen
        for row in rows:
            if row not in seen:
                self._pair(len(seen), row)
                seen.add(row)
        return len(seen) < len(self._gold) or self._matched > 0 or not seen

    def _pair(self, at: int, row: Row) -> None:
        if at >= len(self._gold):
            self._extra += 1
            return
        gold = self._gold[at]
        matched = _common(row, gold)
        self._matched += matched / len(gold)
        self._extra += (len(row) - matched) / len(gold)
        self._missing += (len(gold) - _common(gold, row)) / len(gold)

    def value(self) -> float:
        """The F1 of the sums."""
        if not self._gold and not self._seen:
            return 1.0
        missing = self._missing + max(0, len(self._gold) - len(self._seen))
        if not self._matched:
            return 0.0
        precision = self._matched / (self._matched + self._extra)
        recall = self._matched / (self._matched + missing)
        return 2 * precision * recall / (precision + recall)


def _common(cells: Row, other: Row) -> int:
    """How many of the cells the other row has anywhere; in linear time where rows are wide."""
    there = frozenset(other) if len(other) > _WIDE else other
    return sum(cell in there for cell in cells)
