"""Training rows: what is left out and counted, and what the others hold."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.sandbox.limits import Limits
from service.text2sql.prompt import DEFAULT, Template, build_prompt
from service.text2sql.questions import Question
from service.text2sql.schema import read_schema
from tests.fixtures_trainer import write_pets
from trainer.dataset import Messages, prepare
from trainer.errors import NoTrainingRows
from trainer.verifier_thread import VerifierThread

GOOD = "SELECT name FROM pets"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierThread]:
    data = write_pets(tmp_path_factory.mktemp("dataset"))
    limits = Limits(query_timeout_s=0.3, gold_timeout_s=0.3)
    with VerifierThread([data], workers=2, limits=limits) as started:
        yield started


def question(gold: str, text: str = "Who?", db_id: str = "pets") -> Question:
    return Question("1", db_id, text, gold, "a hint")


def words(messages: Messages) -> int:
    return sum(len(message["content"].split()) for message in messages)


def test_a_row_holds_the_prompt_that_serving_builds(verifier: VerifierThread) -> None:
    row = prepare([question(GOOD)], verifier, words, 1000).rows[0]
    schema = verifier.run(read_schema(verifier.executor, verifier.registry.get("pets")))
    assert row.prompt == build_prompt(schema, "Who?", "a hint").messages
    assert (row.db_id, row.gold_sql, row.prompt_tokens) == ("pets", [GOOD], words(row.prompt))
    assert row.question == question(GOOD)


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("SELECT nothing FROM pets", "gold_error"),
        (ENDLESS, "gold_timeout"),
        ("SELECT * FROM pets WHERE 0", "gold_empty"),
        ("SELECT random()", "gold_unstable"),
        ("SELECT name FROM pets LIMIT 1", "gold_unstable"),
        ("SELECT 1", "gold_constant"),
        ("SELECT NULL FROM pets", "gold_all_null"),
    ],
)
def test_a_gold_that_cannot_judge_is_left_out(
    verifier: VerifierThread, gold: str, reason: str
) -> None:
    prepared = prepare([question(GOOD), question(gold, "Which?")], verifier, words, 1000)
    assert [row.gold_sql for row in prepared.rows] == [[GOOD]]
    assert prepared.dropped == {reason: 1}


def test_a_long_prompt_is_left_out_never_cut(verifier: VerifierThread) -> None:
    questions = [question(GOOD, "Who? " * 500), question(GOOD)]
    prepared = prepare(questions, verifier, words, 300)
    assert prepared.dropped == {"prompt_too_long": 1}
    assert prepared.longest_prompt == prepared.rows[0].prompt_tokens < 300


def test_a_prompt_that_is_just_too_long_goes_without_example_values(
    verifier: VerifierThread,
) -> None:
    full = prepare([question(GOOD)], verifier, words, 1000)
    bare = prepare([question(GOOD)], verifier, words, full.longest_prompt - 1)
    assert full.templates == {str(DEFAULT): 1}
    assert bare.templates == {"ddl-v2": 1}
    assert "e.g." not in bare.rows[0].prompt[-1]["content"]


def test_rows_are_written_in_the_template_that_is_asked_for(verifier: VerifierThread) -> None:
    template = Template.parse("light+examples")
    prepared = prepare([question(GOOD)], verifier, words, 1000, template)
    assert prepared.templates == {"light-v1+examples": 1}
    assert "\npets(id* INTEGER [" in prepared.rows[0].prompt[-1]["content"]


def test_a_question_on_an_unknown_database_is_left_out(verifier: VerifierThread) -> None:
    prepared = prepare([question(GOOD, db_id="lost"), question(GOOD)], verifier, words, 1000)
    assert prepared.dropped == {"unknown_database": 1}


def test_no_row_left_says_how_many_were_left_out_and_why(verifier: VerifierThread) -> None:
    questions = [question("SELEC"), question(GOOD), question("SELECT 1 WHERE 0")]
    with pytest.raises(NoTrainingRows) as caught:
        prepare(questions, verifier, words, 10)
    assert "gold_empty: 1, gold_error: 1, prompt_too_long: 1" in caught.value.message
    assert "max_prompt_tokens is 10" in caught.value.message


def test_rows_keep_the_order_of_the_file(verifier: VerifierThread) -> None:
    golds = [f"SELECT name FROM pets WHERE id > {-n}" for n in range(20)]
    asked = [question(gold, f"Who is over {-n}?") for n, gold in enumerate(golds)]
    prepared = prepare(asked, verifier, words, 1000)
    assert [row.gold_sql[0] for row in prepared.rows] == golds


@pytest.mark.parametrize(
    ("golds", "kept", "dropped"),
    [
        ([GOOD, "select NAME from pets;"], [GOOD], {"duplicate_question": 1}),
        ([GOOD, "SELECT age FROM pets"], [], {"contradicting_question": 2}),
        (["SELEC", GOOD], [GOOD], {"gold_error": 1}),
    ],
)
def test_a_question_that_is_asked_again_counts_once_and_only_with_one_answer(
    verifier: VerifierThread, golds: list[str], kept: list[str], dropped: dict[str, int]
) -> None:
    texts = ["Who is it?", " who IS  it"]
    asked = [question(gold, text) for gold, text in zip(golds, texts, strict=True)]
    other = question("SELECT id FROM pets", "Which?")
    prepared = prepare([*asked, other], verifier, words, 1000)
    assert [row.gold_sql[0] for row in prepared.rows] == [*kept, other.gold_sql]
    assert prepared.dropped == dropped


def test_a_hint_of_its_own_makes_a_repetition_no_contradiction(verifier: VerifierThread) -> None:
    asked = [question(GOOD), replace(question("SELECT age FROM pets"), evidence="by age")]
    assert len(prepare(asked, verifier, words, 1000).rows) == 2


def test_what_golds_have_shown_is_remembered_in_a_file(
    verifier: VerifierThread, tmp_path: Path
) -> None:
    kept = tmp_path / "golds.json"
    asked = [question(GOOD), question("SELEC", "Which?")]
    first = prepare(asked, verifier, words, 1000, kept_golds=kept)
    told = json.loads(kept.read_text())
    assert sorted(row["fault"] or "" for row in told.values()) == ["", "gold_error"]
    for row in told.values():
        row["fault"] = None if row["fault"] else "gold_slow"
    kept.write_text(json.dumps(told))
    again = prepare(asked, verifier, words, 1000, kept_golds=kept)
    assert (first.dropped, again.dropped) == ({"gold_error": 1}, {"gold_slow": 1})


def test_without_need_of_gold_none_is_run_and_repetitions_go(verifier: VerifierThread) -> None:
    asked = [question(""), question("SELEC", "who"), question(ENDLESS, "Which?")]
    asked = [replace(one, question_id=str(n)) for n, one in enumerate(asked)]
    prepared = prepare(asked, verifier, words, 1000, need_gold=False)
    assert [row.gold_sql for row in prepared.rows] == [[], [ENDLESS]]
    assert prepared.dropped == {"duplicate_question": 1}


def test_a_question_without_gold_is_left_out_where_one_is_needed(verifier: VerifierThread) -> None:
    prepared = prepare([question(""), question(GOOD)], verifier, words, 1000)
    assert prepared.dropped == {"no_gold": 1}
