"""From scored candidates to what is trained on: distinct completions with their weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, pstdev

from trainer.offline.candidates import Candidate, Candidates

_EPSILON = 1e-4
Weighed = tuple[Candidate, float]
"""A completion and its advantage, times how often it was drawn."""


@dataclass(frozen=True, slots=True)
class Example:
    """One question: its prompt's tokens, and completions of it."""

    question_id: str
    prompt: list[int]
    completions: list[list[int]]
    """Token ids, each with the end of the answer."""
    weights: list[float]
    """rejection: 1. weighted: the advantage. dpo: 1 for chosen ones, -1 for rejected ones."""
    logps: list[list[float]] = field(default_factory=list)
    """Of each token when it was sampled."""


def rejection(found: Candidates, prompt: list[int], most: int) -> Example | None:
    """The right ones, each text once, most frequent first; None if there is none.

    Rejection-sampled fine-tuning (RFT, arXiv 2308.01825): distinct right answers teach more than
    the same one again.
    """
    right = [c for c in found.completions if c.reward == 1 and _ended(c)]
    chosen = _distinct(right)[:most]
    return _example(found, prompt, [(c, 1.0) for c in chosen]) if chosen else None


def weighted(found: Candidates, prompt: list[int], most: int) -> Example | None:
    """Right and wrong ones with their advantage in the group, A = (r - mean) / (std + 1e-4).

    The deviation is the population's. None where all are alike. Each text once, at most `most` of
    them; the weights are such that their mean, and that of either side, is what the mean over all
    judged candidates would have: a text drawn twice counts twice, what was cut off is made up for.
    """
    judged = [c for c in found.completions if c.reward is not None]
    rewards = [c.reward for c in judged if c.reward is not None]
    if len(set(rewards)) < 2:
        return None
    mean, deviation = fmean(rewards), pstdev(rewards)
    counts = _counts(judged)
    pairs = [
        (c, counts[c.text] * ((c.reward or 0.0) - mean) / (deviation + _EPSILON))
        for c in _distinct(judged)
    ]
    return _example(found, prompt, _as_mean(_balanced(pairs, most), pairs, len(judged)))


def preference(found: Candidates, prompt: list[int], most: int) -> Example | None:
    """Right ones against wrong ones, for DPO: as many of each; None if either is missing."""
    right = _distinct([c for c in found.completions if c.reward == 1 and _ended(c)])
    wrong = _distinct([c for c in found.completions if c.reward == 0])
    size = min(len(right), len(wrong), most // 2 or 1)
    if not size:
        return None
    chosen = [(c, 1.0) for c in right[:size]] + [(c, -1.0) for c in wrong[:size]]
    return _example(found, prompt, chosen)


def with_gold(
    example: Example | None, question_id: str, prompt: list[int], gold: list[int]
) -> Example:
    """The example with the gold's tokens among what is learned from, weight 1; `logps` are none."""
    if example is None:
        return Example(question_id, prompt, [gold], [1.0], [[]])
    if gold in example.completions:
        return example
    return replace(
        example,
        completions=[*example.completions, gold],
        weights=[*example.weights, 1.0],
        logps=[*example.logps, []],
    )


def merged(found: Iterable[Candidates]) -> list[Candidates]:
    """Candidates of one question under several templates as one group, in order of appearance."""
    groups: dict[tuple[str, str], list[Candidates]] = {}
    for one in found:
        groups.setdefault((one.question_id, one.db_id), []).append(one)
    return [
        Candidates(q, db_id, same[0].template, [c for one in same for c in one.completions])
        for (q, db_id), same in groups.items()
    ]


def _example(
    found: Candidates, prompt: list[int], pairs: Sequence[tuple[Candidate, float]]
) -> Example:
    return Example(
        question_id=found.question_id,
        prompt=prompt,
        completions=[c.tokens for c, _ in pairs],
        weights=[weight for _, weight in pairs],
        logps=[c.logps for c, _ in pairs],
    )


def _balanced(pairs: list[Weighed], most: int) -> list[Weighed]:
    """The heaviest ones, from both sides in turn, so that neither is lost."""
    heavy = sorted(pairs, key=lambda pair: -abs(pair[1]))
    good, bad = [p for p in heavy if p[1] > 0], [p for p in heavy if p[1] < 0]
    half = max(1, most // 2)
    kept = good[: max(half, most - len(bad))] + bad[: max(half, most - len(good))]
    return kept


def _as_mean(kept: list[Weighed], pairs: list[Weighed], judged: int) -> list[Weighed]:
    """Weights whose mean over `kept` is, side by side, the sum of `pairs` over all judged."""
    scale = {
        good: len(kept) / judged * _side(pairs, good=good) / _side(kept, good=good)
        for good in (True, False)
    }
    return [(candidate, weight * scale[weight > 0]) for candidate, weight in kept]


def _side(pairs: list[Weighed], *, good: bool) -> float:
    return sum(weight for _, weight in pairs if (weight > 0) == good)


def _ended(candidate: Candidate) -> bool:
    """Cut at the longest length it would teach not to end."""
    return candidate.finished and candidate.sql is not None and bool(candidate.tokens)


def _counts(candidates: Sequence[Candidate]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for candidate in candidates:
        counts[candidate.text] = counts.get(candidate.text, 0) + 1
    return counts


def _distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    counts = _counts(candidates)
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.text, candidate)
    return sorted(first.values(), key=lambda c: -counts[c.text])
