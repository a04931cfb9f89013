"""Which questions are asked: by difficulty, by a sample, by pass rate."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.errors import InvalidRequest
from service.jobs.spec import DataFilter
from service.text2sql.questions import Question
from trainer.dataset import Row
from trainer.errors import NoTrainingRows
from trainer.filters import choose, keep_by_pass_rate, pass_rates, sample

QUESTIONS = [
    Question(str(n), db_id, f"{n}?", "SELECT 1", difficulty="hard" if n % 2 else "simple")
    for n, db_id in enumerate(["big"] * 60 + ["small"] * 20 + ["middle"] * 40)
]


def row(question_id: str) -> Row:
    question = Question(question_id, "shop", "?", "SELECT 1")
    return Row(question_id, "shop", ["SELECT 1"], [], 1, "", "ddl", question)


def candidates(*rewards: float | None, question_id: str = "1") -> dict[str, Any]:
    told = [{"reward": r, "status": "infra_error" if r is None else "match"} for r in rewards]
    return {"question_id": question_id, "db_id": "shop", "template": "ddl", "completions": told}


def test_a_sample_gives_each_database_its_share_in_the_files_order() -> None:
    drawn = sample(QUESTIONS, 12, seed=0)
    assert Counter(q.db_id for q in drawn) == {"big": 6, "small": 2, "middle": 4}
    assert drawn == [q for q in QUESTIONS if q in drawn]


@pytest.mark.parametrize("size", [1, 7, 50, 119])
def test_a_share_is_right_to_within_one(size: int) -> None:
    drawn = sample(QUESTIONS, size, seed=5)
    assert len({q.question_id for q in drawn}) == size
    found = Counter(q.db_id for q in drawn)
    for db_id, count in Counter(q.db_id for q in QUESTIONS).items():
        assert abs(found[db_id] - size * count / 120) < 1


def test_a_sample_follows_from_the_seed_alone() -> None:
    assert sample(QUESTIONS, 12, seed=1) == sample(QUESTIONS, 12, seed=1)
    assert sample(QUESTIONS, 12, seed=1) != sample(QUESTIONS, 12, seed=2)
    assert sample(QUESTIONS, 500, seed=1) == QUESTIONS


def test_filters_count_what_they_leave_out() -> None:
    dropped: Counter[str] = Counter()
    wanted = DataFilter(difficulty=["hard"], questions=10)
    drawn = choose(QUESTIONS, wanted, 0, dropped)
    assert {q.difficulty for q in drawn} == {"hard"}
    assert dropped == {"other_difficulty": 60, "not_sampled": 50}


def test_without_a_filter_everything_is_asked() -> None:
    dropped: Counter[str] = Counter()
    assert choose(QUESTIONS, DataFilter(), 0, dropped) == QUESTIONS
    assert dropped.total() == 0


def test_a_pass_rate_is_the_mean_of_what_could_be_judged(tmp_path: Path) -> None:
    path = tmp_path / "candidates.jsonl"
    lines = [
        candidates(1.0, 0.0, None),
        candidates(1.0, 1.0),  # the same question under another template
        candidates(None, question_id="2"),
        candidates(0.0, question_id="3"),
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"question_id": "4"')
    assert pass_rates(path) == {"1": 0.75, "3": 0.0}


@pytest.mark.parametrize("line", ["{", "[]", '{"question_id": "1"}'])
def test_a_line_without_candidates_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "candidates.jsonl"
    path.write_text(f"{json.dumps(candidates(1.0))}\n{line}\n")
    with pytest.raises(InvalidRequest, match=r"candidates\.jsonl, line 2"):
        pass_rates(path)


@pytest.mark.parametrize(
    ("low", "high", "kept", "dropped"),
    [
        (0.0, 1.0, "a b c d", {}),
        (0.01, 0.99, "b d", {"too_hard": 1, "too_easy": 1}),
        (0.5, 1.0, "b c d", {"too_hard": 1}),
        (0.0, 0.5, "a b d", {"too_easy": 1}),
    ],
)
def test_rows_are_kept_by_pass_rate_with_both_ends_and_the_unknown(
    low: float, high: float, kept: str, dropped: dict[str, int]
) -> None:
    rates = {"a": 0.0, "b": 0.5, "c": 1.0}
    rows, counted = keep_by_pass_rate([row(name) for name in "abcd"], rates, low, high)
    assert [one.question_id for one in rows] == kept.split()
    assert counted == dropped


def test_filters_that_leave_nothing_say_what_there_is() -> None:
    with pytest.raises(NoTrainingRows, match=r"of \['easy'\]; there are: hard, simple"):
        choose(QUESTIONS, DataFilter(difficulty=["easy"]), 0, Counter())
    with pytest.raises(NoTrainingRows, match=r"0\.2\.\.0\.8: 1 are below, 2 above"):
        keep_by_pass_rate([row("a"), row("b"), row("c")], {"a": 0.1, "b": 1, "c": 0.9}, 0.2, 0.8)


def test_pass_rates_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"must not be below min_pass_rate=0\.5"):
        DataFilter(min_pass_rate=0.5, max_pass_rate=0.4)
