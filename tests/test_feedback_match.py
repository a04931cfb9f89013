"""Which questions are answered by which verified query."""

from pathlib import Path

import pytest
import yaml

from service.feedback.match import MAX_CHARS, VerifiedQueries, question_key, same_question
from service.feedback.records import VerifiedQuery
from service.feedback.wording import gist, words

PAIRS = yaml.safe_load((Path(__file__).parent / "cases" / "near_questions.yaml").read_text())


def verified(
    question: str, evidence: str = "", sql: str = "SELECT 1", **other: str
) -> VerifiedQuery:
    """A verified query of one database."""
    number = other.get("id", "vq_1")
    sha256 = other.get("sha256", "a" * 64)
    return VerifiedQuery(
        number, "shop", sha256, question, evidence, sql, "confirmed", "r", "fb_1", None, 1.0
    )


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " | ".join(pair[:3]))
def test_a_pair_of_questions_is_told_apart_or_not(pair: list[str]) -> None:
    expected, one, other, *evidence = pair
    first, second = evidence or ("", "")
    for a, b, of_a, of_b in ((one, other, first, second), (other, one, second, first)):
        found = VerifiedQueries([verified(a, of_a)]).find("shop", "a" * 64, b, of_b)
        assert (found is not None) == (expected != "none")
        same = question_key(a, of_a) == question_key(b, of_b) and same_question(a, b)
        assert (same and bool(words(a))) == (expected == "same")


def test_every_question_matches_itself() -> None:
    for _, *questions in PAIRS:
        for question in questions[:2]:
            found = VerifiedQueries([verified(question)]).find("shop", "", question)
            assert (found is not None) == bool(words(question))


def test_another_database_has_its_own_queries() -> None:
    assert VerifiedQueries([verified("Orders of Ada")]).find("bank", "", "Orders of Ada") is None


def test_the_latest_of_the_same_question_is_found() -> None:
    old, new = verified("Orders of Ada", sql="A"), verified("orders of ada", sql="B", id="vq_2")
    found = VerifiedQueries([new, old]).find("shop", "", "Orders of Ada")
    assert found == new


def test_two_near_ones_that_disagree_are_no_answer() -> None:
    near = [
        verified("List the orders of Ada", sql="A"),
        verified("Show the orders of Ada", sql="B"),
    ]
    asked = "Give me the orders of Ada"
    assert VerifiedQueries(near).find("shop", "", asked) is None
    assert VerifiedQueries(near[:1]).find("shop", "", asked) == near[0]


def test_of_two_near_ones_that_of_this_very_file_is_taken() -> None:
    here = verified("List the orders of Ada", sql="A", sha256="b" * 64)
    there = verified("Show the orders of Ada", sql="B")
    found = VerifiedQueries([there, here]).find("shop", "b" * 64, "Give me the orders of Ada")
    assert found == here


def test_a_very_long_question_matches_none() -> None:
    question = "list orders " * MAX_CHARS
    assert VerifiedQueries([verified(question)]).find("shop", "", question) is None


@pytest.mark.parametrize("text", ["", "\0", "\ud800 x", "'" * 500, '"a' * 500, "1," * 500, "٣ ²"])
def test_any_text_can_be_compared(text: str) -> None:
    assert words(text) == words(f" {text} ")
    assert gist(text) == gist(f" {text} ")
