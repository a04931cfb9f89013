"""How the metrics of a task are got: which texts have to run, and who judges the rows of each.

Metrics whose evaluators run the same text share one run. The first run is that of the first metric,
and decides the status.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from service.text2sql.compare.metrics import METRICS, Comparison
from service.text2sql.types import Metric


class Run(NamedTuple):
    """One execution of a prediction: the text's rewriting, how text is decoded, what is judged."""

    prepare: Callable[[str], str | None]
    lenient_text: bool
    comparisons: tuple[tuple[str, Comparison], ...]
    """(metric, how it compares) pairs."""
    timed: str | None
    """The metric whose value is a reward for time, if there is one."""
    arity_decides: bool
    """Another number of columns than that of a gold with rows is 0 by every metric."""


@lru_cache(maxsize=256)
def plan(metrics: tuple[str, ...]) -> tuple[Run, ...]:
    """The runs that give these metrics, the first metric's first."""
    runs: dict[tuple[object, bool], list[tuple[str, Comparison]]] = {}
    for name in metrics:
        comparison = METRICS[cast(Metric, name)]
        place = (comparison.prepare, comparison.lenient_text)
        runs.setdefault(place, []).append((name, comparison))
    return tuple(_run(comparisons) for comparisons in runs.values())


def _run(comparisons: list[tuple[str, Comparison]]) -> Run:
    first = comparisons[0][1]
    return Run(
        prepare=first.prepare,
        lenient_text=first.lenient_text,
        comparisons=tuple(comparisons),
        timed=next((name for name, comparison in comparisons if comparison.timed), None),
        arity_decides=all(comparison.arity_decides for _, comparison in comparisons),
    )


def statements_of(metrics: Sequence[str]) -> int:
    """How many time limits one prediction may use up."""
    return len(plan(tuple(metrics))) + timings_of(metrics)


def timings_of(metrics: Sequence[str]) -> int:
    """How many times a gold may run to its own limit while a prediction is judged."""
    return sum(run.timed is not None for run in plan(tuple(metrics)))
