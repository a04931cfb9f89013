"""The numbers of an evaluation, by hand."""

import pytest

from service.evaluation import Accuracy, Outcome, accuracies
from service.text2sql.questions import Question


def _outcome(difficulty: str, value: float | None, masked: bool = False) -> Outcome:
    question = Question("1", "db", "q", "SELECT 1", difficulty=difficulty)
    metrics = {} if value is None else {"bird_ex": value}
    return Outcome(question, "SELECT 1", "match" if value else "mismatch", metrics, masked)


@pytest.mark.parametrize(
    ("right", "judged", "low", "high"),
    # Wilson's interval at z = 1.96, computed apart from this code.
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(right: int, judged: int, low: float, high: float) -> None:
    interval = Accuracy("all", right, judged).interval
    assert interval == pytest.approx((low, high), abs=1e-4)


def test_masked_questions_are_left_out_and_unanswered_ones_are_wrong() -> None:
    outcomes = [
        _outcome("simple", 1.0),
        _outcome("simple", None),
        _outcome("hard", 0.0),
        _outcome("hard", 0.0, masked=True),
    ]
    found = [(a.name, a.right, a.judged) for a in accuracies(outcomes, "bird_ex")]
    assert found == [("simple", 1, 2), ("hard", 0, 1), ("all", 1, 3)]


def test_no_share_of_nothing() -> None:
    assert Accuracy("all", 0, 0).share == 0.0
