"""How the metrics of a task are got: which texts have to run, and who judges the rows of each.

Metrics whose evaluators run the same text share one run. The first run is that of the first metric,
and decides the status.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from service.text2sql.compare.metrics import MEASURES, JudgeMaker

TIMED = "bird_r_ves"


class Run(NamedTuple):
    """One execution of a prediction: the text's rewriting, how text is decoded, its judges."""

    prepare: Callable[[str], str | None]
    lenient_text: bool
    judges: tuple[tuple[str, JudgeMaker], ...]
    """(metric, maker) pairs."""


@lru_cache(maxsize=256)
def plan(metrics: tuple[str, ...]) -> tuple[Run, ...]:
    """The runs that give these metrics, the first metric's first."""
    runs: dict[tuple[object, bool], list[tuple[str, JudgeMaker]]] = {}
    for name in metrics:
        measure = MEASURES[name]
        judges = runs.setdefault((measure.prepare, measure.lenient_text), [])
        judges.append((name, measure.judge))
    return tuple(
        Run(MEASURES[judges[0][0]].prepare, lenient, tuple(judges))
        for (_, lenient), judges in runs.items()
    )


def statements_of(metrics: Sequence[str]) -> int:
    """How many time limits one prediction may use up."""
    return len(plan(tuple(metrics))) + (TIMED in metrics)
