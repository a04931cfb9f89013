"""Training rows: what is left out and counted, and the order of the others."""

from collections.abc import Iterator

import pytest

from service.sandbox.limits import Limits
from service.text2sql.prompt import DEFAULT, Template, build_prompt
from service.text2sql.questions import Question
from service.text2sql.schema import read_schema
from tests.fixtures_trainer import write_pets
from trainer.dataset import Messages, prepare, schedule
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


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("SELECT nothing FROM pets", "gold_error"),
        (ENDLESS, "gold_timeout"),
        ("SELECT * FROM pets WHERE 0", "gold_empty"),
        ("SELECT random()", "gold_unstable"),
    ],
)
def test_a_gold_that_cannot_judge_is_left_out(
    verifier: VerifierThread, gold: str, reason: str
) -> None:
    prepared = prepare([question(GOOD), question(gold)], verifier, words, 1000)
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
    golds = [f"SELECT {n}" for n in range(20)]
    prepared = prepare([question(gold) for gold in golds], verifier, words, 1000)
    assert [row.gold_sql[0] for row in prepared.rows] == golds


def test_the_schedule_follows_from_the_seed_alone() -> None:
    assert schedule(10, 2, 12, seed=7) == schedule(10, 2, 12, seed=7)
    assert schedule(10, 2, 12, seed=7) != schedule(10, 2, 12, seed=8)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    assert schedule(10, 2, 30, seed=1)[:24] == schedule(10, 2, 12, seed=1)


def test_every_pass_meets_every_row_once_in_another_order() -> None:
    order = schedule(7, 3, 7, seed=0)
    passes = [order[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert passes[0] != passes[1]


def test_fewer_rows_than_a_step_asks_for_are_asked_again() -> None:
    assert schedule(1, 4, 2, seed=0) == [0] * 8
