"""From scored candidates to what is trained on."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev

import pytest

from trainer.offline.candidates import Candidate, Candidates, read_candidates
from trainer.offline.examples import merged, preference, rejection, weighted, with_gold

PROMPT = [1, 2, 3]


def candidates(*pairs: tuple[str, float | None], question_id: str = "1") -> Candidates:
    """One for each pair of a text, a token for each of its letters, and its reward."""
    found = [
        Candidate(
            text=text,
            tokens=[ord(letter) for letter in text],
            logps=[-0.5] * len(text),
            sql=text or None,
            status="match" if reward else "mismatch",
            reward=reward,
        )
        for text, reward in pairs
    ]
    return Candidates(question_id, "pets", "ddl-v2", found)


def texts(completions: list[list[int]]) -> list[str]:
    return ["".join(map(chr, tokens)) for tokens in completions]


def test_rejection_keeps_each_right_text_once_and_the_frequent_ones_first() -> None:
    group = candidates(("a", 1), ("b", 1), ("x", 0), ("b", 1), ("c", 1), ("y", None))
    example = rejection(group, PROMPT, 2)
    assert example is not None
    assert texts(example.completions) == ["b", "a"]
    assert example.weights == [1.0, 1.0]
    assert example.prompt == PROMPT


def test_rejection_has_nothing_to_teach_where_all_are_wrong() -> None:
    assert rejection(candidates(("x", 0), ("y", None)), PROMPT, 4) is None


def test_advantages_are_those_of_the_group_and_count_repetitions() -> None:
    group = candidates(("a", 1), ("x", 0), ("x", 0), ("y", 0))
    example = weighted(group, PROMPT, 8)
    assert example is not None
    weights = dict(zip(texts(example.completions), example.weights, strict=True))
    assert sum(weights.values()) == pytest.approx(0, abs=1e-6)
    # Three texts of four candidates: their mean is to be the mean over the four.
    assert weights["a"] == pytest.approx(3 / 4 * 0.75 / (0.1875**0.5 + 1e-4))
    assert weights["x"] == pytest.approx(2 * weights["y"])


@pytest.mark.parametrize("most", [2, 4, 8])
@pytest.mark.parametrize(
    "drawn", ["a7 x1", "a1 b1 c1 d1 e1 f1 g1 x1", "a1 x1 y1 z1 u1 v1 w1 t1", "a3 b1 x2 y2"]
)
def test_each_side_weighs_what_it_does_in_the_mean_over_all(drawn: str, most: int) -> None:
    pairs = [
        (text[0], float(text[0] < "h")) for text in drawn.split() for _ in range(int(text[1:]))
    ]
    example = weighted(candidates(*pairs), PROMPT, most)
    assert example is not None
    rewards = [reward for _, reward in pairs]
    advantage = (1 - fmean(rewards)) / (pstdev(rewards) + 1e-4)
    good = sum(weight for weight in example.weights if weight > 0) / len(example.weights)
    assert good == pytest.approx(advantage * fmean(rewards))
    assert sum(example.weights) == pytest.approx(0, abs=1e-6)


def test_an_answer_that_was_cut_off_is_not_what_one_learns_to_say() -> None:
    group = candidates(("a", 1), ("x", 0))
    cut = replace(group, completions=[replace(c, finished=False) for c in group.completions])
    assert rejection(cut, PROMPT, 4) is None
    assert preference(cut, PROMPT, 4) is None


@pytest.mark.parametrize("reward", [0, 1])
def test_advantages_need_right_and_wrong_ones(reward: int) -> None:
    assert weighted(candidates(("a", reward), ("b", reward), ("c", None)), PROMPT, 8) is None


def test_of_too_many_both_sides_stay() -> None:
    group = candidates(("a", 1), *((letter, 0) for letter in "uvwxyz"))
    example = weighted(group, PROMPT, 4)
    assert example is not None
    assert "a" in texts(example.completions)
    assert len(example.completions) == 4


def test_a_preference_has_as_many_rejected_as_chosen() -> None:
    example = preference(candidates(("a", 1), ("x", 0), ("b", 1), ("y", 0), ("z", 0)), PROMPT, 4)
    assert example is not None
    assert texts(example.completions) == ["a", "b", "x", "y"]
    assert example.weights == [1, 1, -1, -1]
    assert preference(candidates(("a", 1)), PROMPT, 4) is None


def test_the_gold_is_learned_from_beside_what_was_found_or_alone() -> None:
    found = rejection(candidates(("a", 1)), PROMPT, 4)
    both = with_gold(found, "1", PROMPT, [ord("g")])
    assert (texts(both.completions), both.weights) == (["a", "g"], [1.0, 1.0])
    assert with_gold(found, "1", PROMPT, [ord("a")]) == found
    alone = with_gold(None, "1", PROMPT, [ord("g")])
    assert texts(alone.completions) == ["g"]


def test_candidates_of_several_templates_are_one_group() -> None:
    found = merged(
        [candidates(("a", 1)), candidates(("b", 0), question_id="2"), candidates(("c", 0))]
    )
    assert [(one.question_id, len(one.completions)) for one in found] == [("1", 2), ("2", 1)]
    assert found[0].pass_rate == 0.5


def test_the_pass_rate_is_over_those_that_were_judged() -> None:
    assert candidates(("a", 1), ("b", None)).pass_rate == 1.0
    assert candidates(("b", None)).pass_rate is None


def test_half_a_line_of_a_crash_is_not_read(tmp_path: Path) -> None:
    line = {"question_id": "1", "db_id": "pets", "template": "ddl-v2", "completions": []}
    path = tmp_path / "candidates.jsonl"
    path.write_text(json.dumps(line) + "\n" + json.dumps(line)[:20])
    assert len(read_candidates(path)) == 1
    assert read_candidates(tmp_path / "none.jsonl") == []
