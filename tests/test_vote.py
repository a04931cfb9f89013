"""Which candidate wins: by results that agree, then by log-probability."""

import pytest

from service.engine.base import Completion
from service.generation.draft import Checked, Draft, draft
from service.generation.vote import choose, is_decided


def candidate(digest: str | None, logprob: float | None = None, error: str | None = None) -> Draft:
    return Draft(Completion("", 1, "stop", logprob), "SELECT 1", Checked(error, digest=digest))


def no_sql(logprob: float | None = None) -> Draft:
    return draft(Completion("I cannot say", 3, "stop", logprob))


@pytest.mark.parametrize(
    ("drafts", "index", "votes"),
    [
        ([candidate("a")], 0, (1,)),
        ([candidate("a"), candidate("b"), candidate("b")], 1, (1, 2, 2)),
        ([candidate("a", -0.1), candidate("b", -0.9), candidate("b", -0.5)], 2, (1, 2, 2)),
        ([candidate("a", -0.5), candidate("b", -0.4)], 1, (1, 1)),
        ([candidate("a", -0.4), candidate("b", -0.4)], 0, (1, 1)),
        ([candidate("a", -9.0), candidate("a", -9.0), candidate("b", -0.1)], 0, (2, 2, 1)),
        ([candidate(None, error="no such column: x"), candidate("b")], 1, (0, 1)),
        ([candidate(None, -0.2), candidate(None, -0.1)], 1, (1, 1)),
        ([no_sql(-0.1), candidate(None, -5.0, "syntax error")], 1, (0, 0)),
        ([no_sql(-0.7), no_sql(-0.1)], 1, (0, 0)),
        ([no_sql(), candidate("a")], 1, (0, 1)),
    ],
)
def test_the_choice_and_the_votes(drafts: list[Draft], index: int, votes: tuple[int, ...]) -> None:
    choice = choose(drafts)
    assert (choice.index, choice.votes) == (index, votes)


def test_the_share_is_of_all_candidates_also_the_failed_ones() -> None:
    drafts = [candidate("a"), candidate("a"), candidate(None, error="no such table"), no_sql()]
    assert choose(drafts).share == 0.5


@pytest.mark.parametrize(
    ("digests", "failed", "decided"),
    [
        ("aaab", 1, True),
        ("aaab", 2, False),
        ("aab", 1, False),
        ("aa", 1, True),
        ("aa", 2, False),
        ("", 1, False),
    ],
)
def test_a_vote_is_decided_once_those_that_failed_cannot_catch_up(
    digests: str, failed: int, decided: bool
) -> None:
    drafts = [candidate(digest) for digest in digests] + [no_sql()] * failed
    assert is_decided(drafts, failed) is decided
