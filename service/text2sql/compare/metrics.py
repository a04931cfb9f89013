"""All metrics of /verify by name, each with its judge and what it does to the texts it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from service.text2sql.compare.bird import BirdEx, BirdSoftF1
from service.text2sql.compare.rows import GoldRows, Judge
from service.text2sql.compare.spider import SpiderExec
from service.text2sql.compare.spider2 import Spider2Lite
from service.text2sql.compare.spider_text import keep_distinct, without_distinct
from service.text2sql.compare.strict import Strict
from service.text2sql.types import Metric


def _as_it_is(sql: str) -> str | None:
    return sql


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one metric compares."""

    judge: Callable[[GoldRows, int], Judge]
    """Made for each gold and prediction: `judge(gold, number of predicted columns)`."""
    prepare: Callable[[str], str | None] = _as_it_is
    """The text that is run, for gold and prediction alike; None where the evaluator crashes on the
    text, which is 0. `GoldRows.sql` must be this text: spider_exec looks in it for 'order by'."""
    lenient_text: bool = False
    """Bytes of a text that are not UTF-8 are left out; elsewhere they are an error."""
    by_columns: bool = False
    """The order of columns is free, so rows cannot be compared position by position."""
    counts_duplicates: bool = True
    typed: bool = False
    """1 and 1.0 differ."""
    arity_decides: bool = True
    """Another number of columns is 0 wherever the gold has rows."""
    timed: bool = False
    """The value is then replaced by the time reward (r_ves.py) where it is 1."""


METRICS: dict[Metric, Comparison] = {
    "bird_ex": Comparison(BirdEx, counts_duplicates=False),
    "bird_soft_f1": Comparison(BirdSoftF1, counts_duplicates=False, arity_decides=False),
    "bird_r_ves": Comparison(BirdEx, counts_duplicates=False, timed=True),
    "spider_exec": Comparison(SpiderExec, without_distinct, lenient_text=True, by_columns=True),
    "spider_exec_keep_distinct": Comparison(
        SpiderExec, keep_distinct, lenient_text=True, by_columns=True
    ),
    "spider2_lite": Comparison(Spider2Lite, by_columns=True, arity_decides=False),
    "strict": Comparison(Strict, typed=True),
}
