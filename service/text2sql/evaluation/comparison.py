"""Two runs on the same questions, compared question by question."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.errors import InvalidRequest
from service.text2sql.evaluation.accuracy import ALL
from service.text2sql.evaluation.mcnemar import exact_p
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.paired import difference, newcombe
from service.text2sql.questions import Question

Pair = tuple[Outcome, Outcome]
_Key = tuple[Question, int]


@dataclass(frozen=True, slots=True)
class Table:
    """How many questions both runs have right, one of them, neither."""

    name: str
    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def judged(self) -> int:
        """Questions that both runs could be judged on."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def p_value(self) -> float:
        """McNemar's exact test, two-sided."""
        return exact_p(self.only_a, self.only_b)

    @property
    def difference(self) -> float:
        """Accuracy of b minus accuracy of a."""
        return difference(self.both, self.only_a, self.only_b, self.neither)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, 95 %."""
        return newcombe(self.both, self.only_a, self.only_b, self.neither)


@dataclass(frozen=True, slots=True)
class Comparison:
    """By one metric."""

    metric: str
    tables: tuple[Table, ...]
    """By difficulty; `all` comes last."""
    lost: tuple[Pair, ...]
    """Right in a alone."""
    won: tuple[Pair, ...]
    """Right in b alone."""
    masked: int
    """Questions left out since one of the runs could not be judged on them."""
    unpaired: tuple[int, int]
    """Questions that only a, only b has asked."""


def compare(a: Sequence[Outcome], b: Sequence[Outcome], metric: str) -> Comparison:
    """Pairs by id, database, question, evidence and gold, all of them equal.

    Raises InvalidRequest where the runs share no question, or a run has not the metric.
    """
    pairs, unpaired = _paired(a, b)
    judged = [pair for pair in pairs if not (pair[0].masked or pair[1].masked)]
    _check_metric(judged, metric)
    names = dict.fromkeys(one.question.difficulty for one, _ in pairs)
    tables = [
        _table(name, (p for p in judged if p[0].question.difficulty == name), metric)
        for name in names
    ]
    return Comparison(
        metric=metric,
        tables=(*tables, _table(ALL, judged, metric)),
        lost=tuple(p for p in judged if p[0].right(metric) and not p[1].right(metric)),
        won=tuple(p for p in judged if p[1].right(metric) and not p[0].right(metric)),
        masked=len(pairs) - len(judged),
        unpaired=unpaired,
    )


def _paired(a: Sequence[Outcome], b: Sequence[Outcome]) -> tuple[list[Pair], tuple[int, int]]:
    first, second = _keyed(a), _keyed(b)
    pairs = [(one, second[key]) for key, one in first.items() if key in second]
    if not pairs:
        raise InvalidRequest("the two runs have no question in common; are they of one file?")
    return pairs, (len(a) - len(pairs), len(b) - len(pairs))


def _keyed(outcomes: Sequence[Outcome]) -> dict[_Key, Outcome]:
    """In the file's order; a question that a file has twice is told apart by its turn."""
    turns: Counter[Question] = Counter()
    found: dict[_Key, Outcome] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.place):
        found[outcome.question, turns[outcome.question]] = outcome
        turns[outcome.question] += 1
    return found


def _check_metric(pairs: Iterable[Pair], metric: str) -> None:
    for outcome in _flat(pairs):
        if outcome.metrics and metric not in outcome.metrics:
            raise InvalidRequest(
                f"{metric!r} was not measured in both runs, but {', '.join(outcome.metrics)}"
            )


def _flat(pairs: Iterable[Pair]) -> Iterator[Outcome]:
    for pair in pairs:
        yield from pair


def _table(name: str, pairs: Iterable[Pair], metric: str) -> Table:
    found = [(a.right(metric), b.right(metric)) for a, b in pairs]
    return Table(
        name,
        both=found.count((True, True)),
        only_a=found.count((True, False)),
        only_b=found.count((False, True)),
        neither=found.count((False, False)),
    )
