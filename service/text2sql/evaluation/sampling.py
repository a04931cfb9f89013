"""What more samples would bring: pass@k and majority@k, from n samples of each question."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb

from service.text2sql.evaluation.outcome import Outcome, Sample
from service.text2sql.types import MASKED

Group = tuple[int, bool]
"""How many samples have the same result, and whether that result is right."""


@dataclass(frozen=True, slots=True)
class AtK:
    """Means over the questions that have at least k samples; shares 0..1."""

    k: int
    questions: int
    pass_at_k: float
    majority_at_k: float | None
    """None where no question's samples voted."""
    voted: int
    """Questions behind majority_at_k."""


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that k of the n samples, drawn at random, hold one of the c right ones.

    1 - C(n-c, k) / C(n, k), which estimates pass@k without bias: M. Chen et al., "Evaluating Large
    Language Models Trained on Code", arXiv 2107.03374, equation 1. Raises ValueError unless
    0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= c <= n and 1 <= k <= n, has n={n}, c={c}, k={k}")
    return 1.0 - comb(n - c, k) / comb(n, k)


@lru_cache(maxsize=65_536)
def majority_at_k(groups: tuple[Group, ...], silent: int, k: int) -> float:
    """The chance that the largest group among k samples drawn at random is a right one.

    `silent` samples cannot vote; where only they are drawn the answer is wrong. Of groups of the
    same size each wins with the same chance. This is majority voting (X. Wang et al.,
    "Self-Consistency Improves Chain of Thought Reasoning", arXiv 2203.11171) with results in the
    place of answers, averaged over all C(n, k) draws. Raises ValueError unless 1 <= k <= n.
    """
    n = silent + sum(size for size, _ in groups)
    if not 1 <= k <= n:
        raise ValueError(f"majority@k needs 1 <= k <= n, has n={n}, k={k}")
    most = min(k, max((size for size, _ in groups), default=0))
    won = sum(_won(groups, silent, k, top) for top in range(1, most + 1))
    return won / comb(n, k)


def vote_groups(samples: Sequence[Sample], metric: str) -> tuple[tuple[Group, ...], int] | None:
    """The groups that voted, and how many samples were silent, told from their votes alone.

    Groups of one size and rightness are m·size samples with `size` votes each. None where that does
    not come out even: then the vote tells results apart differently from the metric.
    """
    counts = Counter((sample.votes, sample.right(metric)) for sample in samples if sample.votes > 0)
    groups: list[Group] = []
    for (size, right), count in sorted(counts.items()):
        if count % size:
            return None
        groups += [(size, right)] * (count // size)
    return tuple(groups), sum(sample.votes <= 0 for sample in samples)


def at_each_k(outcomes: Sequence[Outcome], metric: str) -> Iterator[AtK]:
    """For k = 1, 2, 4, ... and the largest number of samples; masked questions are left out."""
    judged = [(o, _judged(o)) for o in outcomes if not o.masked]
    most = max((len(samples) for _, samples in judged), default=0)
    for k in sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most} - {0}):
        asked = [(outcome, samples) for outcome, samples in judged if len(samples) >= k]
        passed = [_passed(samples, metric, k) for _, samples in asked]
        found = (_majority(outcome, samples, metric, k) for outcome, samples in asked)
        majority = [share for share in found if share is not None]
        mean = sum(majority) / len(majority) if majority else None
        yield AtK(k, len(asked), sum(passed) / len(passed), mean, len(majority))


def _judged(outcome: Outcome) -> list[Sample]:
    return [sample for sample in outcome.samples if sample.status not in MASKED]


def _passed(samples: Sequence[Sample], metric: str, k: int) -> float:
    return pass_at_k(len(samples), sum(sample.right(metric) for sample in samples), k)


def _majority(outcome: Outcome, samples: Sequence[Sample], metric: str, k: int) -> float | None:
    """At k = n what the service itself chose, whose ties go by probability."""
    if not outcome.voted:
        return None
    if k == len(samples):
        return float(outcome.right(metric))
    found = vote_groups(samples, metric)
    return None if found is None else majority_at_k(*found, k)


def _won(groups: tuple[Group, ...], silent: int, k: int, top: int) -> float:
    """Draws whose largest groups have `top` samples, each weighed by its tied groups' right share.

    Counted group by group: (samples drawn, tied right groups, tied groups) -> ways.
    """
    ways: Counter[tuple[int, int, int]] = Counter({(0, 0, 0): 1})
    for size, right in groups:
        ways = _with_group(ways, size, right, k, top)
    return sum(
        count * comb(silent, k - drawn) * tied_right / tied
        for (drawn, tied_right, tied), count in ways.items()
        if tied
    )


def _with_group(
    ways: Counter[tuple[int, int, int]], size: int, right: bool, k: int, top: int
) -> Counter[tuple[int, int, int]]:
    found: Counter[tuple[int, int, int]] = Counter()
    for (drawn, tied_right, tied), count in ways.items():
        for taken in range(min(size, top, k - drawn) + 1):
            full = taken == top
            key = (drawn + taken, tied_right + (full and right), tied + full)
            found[key] += count * comb(size, taken)
    return found
