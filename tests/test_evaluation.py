"""Outcomes counted, compared, chosen, written: the pure part of an evaluation."""

import json
from dataclasses import replace
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.text2sql.evaluation import Outcome, Provenance, Sample, accuracies, compare, summarise
from service.text2sql.evaluation.bird import submission
from service.text2sql.evaluation.choose import of_databases, stratified
from service.text2sql.evaluation.lines import as_line, from_line
from service.text2sql.evaluation.manifest import Plan, changes, drift, manifest
from service.text2sql.questions import Question
from tests.fixtures_eval import outcome


def _samples(*votes: tuple[bool, int]) -> tuple[Sample, ...]:
    return tuple(
        Sample("SELECT 1", "match" if right else "mismatch", {"bird_ex": float(right)}, votes=n)
        for right, n in votes
    )


def test_masked_questions_are_left_out_and_unanswered_ones_are_wrong() -> None:
    outcomes = [
        outcome(0, 1.0),
        outcome(1, None, status="too_large", sql=None),
        outcome(2, 0.0, difficulty="hard"),
        outcome(3, 0.0, difficulty="hard", masked=True),
    ]
    found = [(a.name, a.right, a.judged) for a in accuracies(outcomes, "bird_ex")]
    assert found == [("simple", 1, 2), ("hard", 0, 1), ("all", 1, 3)]


@pytest.mark.parametrize("status", ["no_sql", "clarify", "cannot_answer"])
def test_an_answer_without_sql_is_never_right(status: str) -> None:
    one = outcome(0, 1.0, status=status, sql=None)
    [accuracy, _] = accuracies([one], "bird_ex")
    assert (accuracy.right, accuracy.judged, accuracy.mean) == (0, 1, 0.0)


def test_any_time_ratio_is_right_and_the_mean_is_of_the_ratios() -> None:
    slow = outcome(0, status="match", metrics={"bird_r_ves": 0.25})
    wrong = outcome(1, status="mismatch", metrics={"bird_r_ves": 0.0})
    [_, whole] = accuracies([slow, wrong], "bird_r_ves")
    assert (whole.right, whole.judged, whole.mean) == (1, 2, 0.125)


def test_nothing_judged_has_no_share() -> None:
    summary = summarise([outcome(0, masked=True)], ["bird_ex"])
    assert summary["judged"] == 0
    assert {row["share"] for row in summary["accuracy"]["bird_ex"]} == {None}
    assert {row["interval_95"] for row in summary["accuracy"]["bird_ex"]} == {None}
    assert summary["masked"][0]["question_id"] == "0"
    assert summarise([], ["bird_ex"])["latency_ms"] is None


def test_a_summary_counts_databases_statuses_tokens_and_samples() -> None:
    outcomes = [
        outcome(0, prompt_tokens=10, completion_tokens=3, latency_ms=100.0,
                samples=_samples((True, 2), (True, 2), (False, 1)), voted=True),
        outcome(1, 0.0, db_id="other", prompt_tokens=5, completion_tokens=1, latency_ms=300.0),
    ]  # fmt: skip
    summary = summarise(outcomes, ["bird_ex"])
    databases = [(row["name"], row["share"]) for row in summary["databases"]["bird_ex"]]
    assert databases == [("shop", 1.0), ("other", 0.0)]
    assert summary["statuses"] == {"match": 1, "mismatch": 1}
    assert summary["tokens"] == {"prompt": 15, "completion": 4}
    assert summary["samples"]["count"] == 3
    assert summary["latency_ms"]["p50"] == 200.0


def test_at_k_is_over_the_questions_with_so_many_samples() -> None:
    outcomes = [
        outcome(0, samples=_samples((True, 2), (True, 2), (False, 1)), voted=True),
        outcome(1, 0.0, samples=_samples((True, 1)), voted=False),
        outcome(2, 1.0, samples=_samples((True, 1)), masked=True),
    ]
    found = {row["k"]: row for row in summarise(outcomes, ["bird_ex"])["at_k"]["bird_ex"]}
    assert {k: row["questions"] for k, row in found.items()} == {1: 2, 2: 1, 3: 1}
    assert found[1]["pass_at_k"] == pytest.approx((2 / 3 + 1) / 2)
    assert found[2]["majority_at_k"] == pytest.approx((1 + 2 * 0.5) / 3)
    assert (found[3]["majority_at_k"], found[3]["voted"]) == (1.0, 1)


def test_a_sample_that_could_not_be_judged_is_no_wrong_one() -> None:
    broken = Sample(None, "infra_error", {})
    one = outcome(0, samples=(*_samples((True, 1)), broken))
    assert [row["k"] for row in summarise([one], ["bird_ex"])["at_k"]["bird_ex"]] == [1]


def test_an_outcome_survives_its_line() -> None:
    one = outcome(
        7, 0.0, message="m\ud800", samples=_samples((False, 1)), voted=True, retryable=True,
        provenance=Provenance({"name": "m"}, "t", "p", "d", "v"), trace={"completions": ["a\nb"]},
    )  # fmt: skip
    assert from_line(json.loads(json.dumps(as_line(one)))) == one


@pytest.mark.parametrize("line", ["{}", "[]", "7", '{"place": 0, "question": "q"}'])
def test_another_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="is no outcome"):
        from_line(json.loads(line))


QUESTIONS = [
    Question(str(n), "a" if n % 2 else "b", "q", "g", difficulty="hard" if n < 25 else "simple")
    for n in range(100)
]


def test_a_sample_keeps_the_shares_of_difficulties_and_the_order() -> None:
    placed = of_databases(QUESTIONS, [])
    chosen = stratified(placed, 10, 0)
    difficulties = [question.difficulty for _, question in chosen]
    assert (difficulties.count("hard"), difficulties.count("simple")) in [(3, 7), (2, 8)]
    assert chosen == sorted(chosen, key=lambda one: one[0])
    assert len(set(chosen)) == 10


def test_a_sample_is_the_same_each_time_and_another_with_another_seed() -> None:
    placed = of_databases(QUESTIONS, [])
    assert [place for place, _ in stratified(placed, 4, 0)] == [6, 61, 72, 92]
    assert stratified(placed, 10, 0) != stratified(placed, 10, 1)


def test_a_sample_larger_than_the_file_is_the_file() -> None:
    placed = of_databases(QUESTIONS, [])
    assert stratified(placed, 500, 3) == placed


def test_questions_of_one_database_keep_their_places() -> None:
    assert [place for place, _ in of_databases(QUESTIONS, ["a"])] == list(range(1, 100, 2))
    with pytest.raises(InvalidRequest, match=r"--database c: .* there are a, b"):
        of_databases(QUESTIONS, ["a", "c"])


def test_runs_are_compared_question_by_question() -> None:
    a = [outcome(0, 1.0), outcome(1, 1.0), outcome(2, 0.0), outcome(3, masked=True)]
    b = [outcome(0, 1.0), outcome(1, 0.0), outcome(2, 1.0), outcome(3, 1.0), outcome(4, 1.0)]
    found = compare(a, b, "bird_ex")
    whole = found.tables[-1]
    assert (whole.both, whole.only_a, whole.only_b, whole.neither) == (1, 1, 1, 0)
    assert (whole.judged, whole.difference, whole.p_value) == (3, 0.0, 1.0)
    assert [one.place for one, _ in found.lost] == [1]
    assert [one.place for one, _ in found.won] == [2]
    assert (found.masked, found.unpaired) == (1, (0, 1))


def test_a_question_that_a_file_has_twice_is_compared_twice() -> None:
    same = [replace(outcome(0, value), place=place) for place, value in enumerate([1.0, 0.0])]
    assert compare(same, same, "bird_ex").tables[-1].judged == 2


def test_runs_without_a_common_question_are_not_compared() -> None:
    other = replace(outcome(0), question=replace(outcome(0).question, gold_sql="SELECT 2"))
    with pytest.raises(InvalidRequest, match="no question in common"):
        compare([outcome(0)], [other], "bird_ex")


def test_a_metric_that_a_run_has_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="'strict' was not measured in both runs"):
        compare([outcome(0)], [outcome(0)], "strict")


PLAN = Plan("f.json", "a" * 64, 3, (0, 2), settings={"metrics": ["bird_ex"], "n": 4})


def _made(*outcomes: Outcome) -> dict[str, object]:
    session = {"started_at": "s", "ended_at": "e", "seconds": 2.5, "asked": len(outcomes)}
    return manifest(PLAN, outcomes, [session, session], {"service": {"version": "1"}})


def test_a_manifest_is_finished_with_its_last_question() -> None:
    made_by = Provenance({"name": "m"}, "ddl-v1", "p", "d" * 64, "v1")
    first, last = (replace(outcome(n), provenance=made_by) for n in (0, 2))
    assert _made(first)["status"] == "unfinished"
    made = _made(first, last)
    assert (made["status"], made["seconds"]) == ("finished", 5.0)
    assert made["answered_by"] == {"model": {"name": "m"}, "verifier_version": "v1"}
    assert made["databases"] == {"shop": "d" * 64}
    assert made["templates"] == {"ddl-v1": 2}
    assert made["prompts_sha256"] == _made(last, first)["prompts_sha256"]


def test_a_run_goes_on_only_with_the_same_plan() -> None:
    made = _made()
    assert changes(made, PLAN) == []
    assert changes(made, replace(PLAN, file="elsewhere/f.json")) == []
    assert changes(made, replace(PLAN, settings={"metrics": ["bird_ex"], "seed": 1})) == [
        "n was 4, is not given",
        "seed was not given, is 1",
    ]
    assert changes(made, replace(PLAN, places=(0, 1))) == [
        "other questions of the file are asked (2 then, 2 now)"
    ]
    [other] = changes(made, replace(PLAN, file_sha256="b" * 64))
    assert "other ones than those of f.json" in other


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": {"name": "n"}}, "the model was {'name': 'm'}, is {'name': 'n'}"),
        ({"verifier_version": "v2"}, "the verifier's version was v1, is v2"),
        ({"database_sha256": "e"}, "the database 'shop' is another file"),
        ({"database_sha256": "", "model": {}, "verifier_version": ""}, None),
        ({"template": "other", "prompt_sha256": "other"}, None),
    ],
)
def test_a_service_that_changes_within_a_run_is_found(
    changed: dict[str, Any], said: str | None
) -> None:
    known = Provenance({"name": "m"}, "t", "p", "d", "v1")
    earlier = outcome(0, provenance=known)
    later = outcome(1, provenance=replace(known, **changed))
    found = drift(earlier, later)
    assert found is None if said is None else said in (found or "")
    other = replace(later, question=replace(later.question, db_id="else"))
    assert (drift(earlier, other) is None) == (said is None or "database" in said)


def test_birds_file_has_every_question_in_order() -> None:
    answers = {0: "SELECT 1\nFROM t", 2: None, 3: "SELECT '\t----- bird -----\t'"}
    written = json.loads(submission(QUESTIONS[:4], answers))
    assert list(written) == ["0", "1", "2", "3"]
    assert [text.split("\t----- bird -----\t") for text in written.values()] == [
        ["SELECT 1\nFROM t", "b"],
        ["", "a"],
        ["", "b"],
        ["SELECT ' ----- bird ----- '", "a"],
    ]
