"""The report shows the same dev questions before and after, those that changed, both ways."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from service.jobs.rundir import RunDir
from service.text2sql.evaluation.lines import as_line
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.questions import Question
from tests.fixtures_report import full_run
from tests.html_page import HOSTILE, Page
from trainer.report import write_report
from trainer.report.before_after import before_after_section, changed
from trainer.report.facts import Facts, read_facts

NAMES = ["base", "offline_step_40", "grpo_step_160"]


def answer(place: int, right: bool, text: str = "SELECT 1") -> Outcome:
    asked = Question(str(place), "pets", f"Question {place}?", "SELECT 7")
    status = "match" if right else "mismatch"
    metrics = {"bird_ex": float(right)}
    trace = {"completions": [f"{text} -- {status} {place}"]}
    return Outcome(place, asked, text, status, metrics, trace=trace)


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """A run whose three points are named as in NAMES; their answers are still to be written."""
    run = full_run(tmp_path)
    path = run.path / "stages" / "evaluate.json"
    told = json.loads(path.read_bytes())
    points = [
        {"name": name, "stage": name.split("_")[0], "accuracy": {"bird_ex": {}}} for name in NAMES
    ]
    path.write_text(json.dumps(told | {"numbers": {"metric": "bird_ex", "points": points}}))
    return read_facts(run)


def write(facts: Facts, name: str, answers: list[Outcome]) -> None:
    folder = facts.path / "stages" / "evaluate" / name
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(as_line(one)) + "\n" for one in answers)
    (folder / "questions.jsonl").write_text(lines)


def test_both_directions_are_shown_with_their_counts(facts: Facts) -> None:
    write(facts, "base", [answer(n, n >= 8) for n in range(10)])
    write(facts, NAMES[-1], [answer(n, n < 7) for n in range(10)])
    found = changed(facts)
    assert found is not None
    assert (found.before, found.after, found.judged) == ("base", "grpo_step_160", 10)
    assert [a.place for a, _ in found.won] == list(range(7))
    assert [a.place for a, _ in found.lost] == [8, 9]
    text = before_after_section(facts)
    assert "Wrong before, right after: 7" in text
    assert "Right before, wrong after: 2" in text
    assert "Of 10 questions judged at both, 9 have changed" in text
    assert "They are chosen for having changed" in text
    assert [n for n in range(10) if f"Question {n}?" in text] == [0, 2, 4, 8, 9]
    assert "SELECT 1 -- mismatch 0" in text
    assert "SELECT 1 -- match 0" in text


def test_what_was_not_judged_at_both_points_has_not_changed(facts: Facts) -> None:
    masked = replace(answer(0, right=False), masked=True)
    write(facts, "base", [masked, answer(1, right=False), answer(2, right=True)])
    write(facts, NAMES[-1], [answer(0, right=True), answer(1, right=True)])
    found = changed(facts)
    assert found is not None
    assert ([a.place for a, _ in found.won], found.lost, found.judged) == ([1], [], 1)


def test_without_the_answers_rollouts_early_and_late_stay(facts: Facts) -> None:
    write(facts, "base", [answer(0, right=True)])
    assert before_after_section(facts) == ""
    assert "Rollouts early and late" in write_report_of(facts)


def test_a_run_that_began_elsewhere_is_compared_with_its_parent(facts: Facts) -> None:
    points = facts.numbers("evaluate")["points"]
    points.insert(1, {"name": "parent", "stage": "parent"})
    write(facts, "parent", [answer(0, right=False)])
    write(facts, NAMES[-1], [answer(0, right=True)])
    assert changed(facts).before == "parent"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["../evaluate/base", "/etc", "x" * 5000, "a\0b", ""])
def test_a_point_that_names_no_folder_is_left_out(facts: Facts, name: str) -> None:
    write(facts, "base", [answer(0, right=True)])
    facts.numbers("evaluate")["points"][-1]["name"] = name
    assert before_after_section(facts) == ""


def test_hostile_answers_stay_texts(facts: Facts) -> None:
    write(facts, "base", [answer(n, right=False, text=t) for n, t in enumerate(HOSTILE)])
    write(facts, NAMES[-1], [answer(n, right=True, text=t) for n, t in enumerate(HOSTILE)])
    text = write_report_of(facts)
    assert "The same questions before and after" in text
    tags = [tag for tag, _ in Page(text.encode()).tags]
    assert (tags.count("script"), tags.count("img")) == (1, 0)  # The page's own.


def write_report_of(facts: Facts) -> str:
    return write_report(RunDir(facts.path)).read_text()
