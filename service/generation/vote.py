"""Which candidate is the answer: the one whose result most others share.

Self-consistency by execution (majority voting over results, as in Ni et al. 2023, arXiv 2302.08468,
and Li et al. 2022, arXiv 2203.07814, section 4.6): candidates are grouped by what their queries
give, compared as a set of rows. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from service.generation.draft import Draft


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen candidate's place, and each candidate's votes: the size of its group."""

    index: int
    votes: tuple[int, ...]

    @property
    def share(self) -> float:
        """0..1: the chosen one's votes among all candidates."""
        return self.votes[self.index] / len(self.votes)


def choose(drafts: Sequence[Draft]) -> Choice:
    """The largest group's most probable member.

    Groups of one size are told apart by the mean of their members' mean log-probabilities. A valid
    query whose result has no digest (never run, or too large) agrees with nobody. Where none is
    valid the most probable with SQL is chosen, with no votes.
    """
    groups = _groups(drafts)
    size = {place: len(group) for group in groups for place in group}
    votes = tuple(size.get(place, 0) for place in range(len(drafts)))
    if groups:
        best = max(groups, key=lambda group: (len(group), _mean(drafts, group), -group[0]))
        return Choice(_most_probable(drafts, best), votes)
    with_sql = [place for place, draft in enumerate(drafts) if draft.sql is not None]
    return Choice(_most_probable(drafts, with_sql or range(len(drafts))), votes)


def is_decided(drafts: Sequence[Draft], failed: int) -> bool:
    """Whether the largest group stays the largest, whatever becomes of `failed` candidates.

    They may join the second largest group, or make one of their own. Which member of the group is
    the answer may still change, its result not.
    """
    sizes = sorted(map(len, _groups(drafts)), reverse=True)
    first, second = (*sizes, 0, 0)[:2]
    return first > second + failed


def _groups(drafts: Sequence[Draft]) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    alone = count()
    for place, draft in enumerate(drafts):
        if draft.error is None and draft.checked is not None:
            digest = draft.checked.digest
            groups.setdefault(next(alone) if digest is None else digest, []).append(place)
    return list(groups.values())


def _most_probable(drafts: Sequence[Draft], places: Sequence[int]) -> int:
    return max(places, key=lambda place: (_logprob(drafts[place]), -place))


def _mean(drafts: Sequence[Draft], group: Sequence[int]) -> float:
    return sum(_logprob(drafts[place]) for place in group) / len(group)


def _logprob(draft: Draft) -> float:
    logprob = draft.completion.mean_logprob
    return float("-inf") if logprob is None else logprob
