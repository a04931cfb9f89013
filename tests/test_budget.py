"""A prompt over its budget loses what the question needs least, and says what."""

import re
import sqlite3
from dataclasses import replace

import pytest

from service.errors import TooLarge
from service.text2sql.prompt import (
    TEMPLATES,
    Budget,
    LeftOut,
    Prompt,
    Template,
    Turn,
    build_prompt,
)
from service.text2sql.schema import Column, Schema
from service.text2sql.values.match import ValueMatch
from tests.fixtures_prompt import SHOP, chain, column, user, with_column, words

CHAIN = with_column(with_column(chain(30), "t3", column("hair_colour")), "t6", column("shoeSize"))
QUESTION = "Which hair colours go with which shoe size?"


def reserved(prompt: Prompt) -> int:
    """Tokens of the whole prompt as it is counted against a budget."""
    text = "\n".join(message["content"] for message in prompt.messages)
    return words(text) + 32 + 8 * len(prompt.messages)


def within(
    tokens: int, schema: Schema = CHAIN, question: str = QUESTION, **given: object
) -> Prompt:
    budget = Budget(tokens, words)
    return build_prompt(schema, question, budget=budget, **given)  # type: ignore[arg-type]


def tables(prompt: Prompt) -> list[str]:
    return re.findall(r"CREATE TABLE (\w+)", user(prompt))


def test_a_prompt_that_just_fits_is_left_as_it_is() -> None:
    whole = build_prompt(SHOP, QUESTION)
    assert within(reserved(whole), SHOP) == whole


def test_descriptions_go_first_then_examples_then_columns() -> None:
    lost = []
    for tokens in range(reserved(build_prompt(SHOP, QUESTION)), 98, -1):
        prompt = within(tokens, SHOP)
        assert reserved(prompt) <= tokens
        if not lost or prompt.left_out != lost[-1]:
            lost.append(prompt.left_out)
    assert lost[:3] == [
        LeftOut(),
        LeftOut(descriptions=True),
        LeftOut(descriptions=True, examples=True),
    ]
    assert all(step.columns or step.tables for step in lost[3:])
    assert len(lost) > 4


def test_the_template_named_is_the_one_that_was_filled() -> None:
    prompt = within(reserved(build_prompt(SHOP, QUESTION)) - 1, SHOP)
    assert prompt.template == "ddl-v2+examples"
    assert prompt.left_out == LeftOut(descriptions=True)
    again = build_prompt(SHOP, QUESTION, template=Template.parse(prompt.template))
    assert again.sha256 == prompt.sha256


def test_what_the_schema_does_not_have_is_not_left_out() -> None:
    prompt = within(reserved(build_prompt(CHAIN, QUESTION)) - 1)
    assert prompt.left_out == LeftOut(examples=True)
    bare = Template.parse("ddl+descriptions")
    cut = within(300, template=bare)
    assert cut.template == str(bare)
    assert not cut.left_out.examples


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("tokens", [200, 300, 400])
def test_no_prompt_is_over_its_budget_and_most_of_it_is_used(name: str, tokens: int) -> None:
    prompt = within(tokens, template=Template.parse(name))
    assert 0.8 * tokens < reserved(prompt) <= tokens
    assert prompt.left_out.tables


def test_what_the_question_names_stays_with_the_path_that_joins_it() -> None:
    prompt = within(250)
    assert {"t3", "t4", "t5", "t6"} <= {*tables(prompt)}
    assert "hair_colour TEXT" in user(prompt)
    assert "shoeSize TEXT" in user(prompt)
    assert "hair_colour" not in " ".join(prompt.left_out.columns)
    assert user(prompt).count("FOREIGN KEY (up)") == len(tables(prompt)) - 1


def test_a_pruned_schema_is_valid_with_its_keys() -> None:
    prompt = within(300)
    database = sqlite3.connect(":memory:")
    database.executescript(user(prompt))
    for table in tables(prompt)[1:]:
        (key,) = database.execute(f"PRAGMA foreign_key_list({table})").fetchall()
        joined = f"SELECT * FROM {table} JOIN {key[2]} ON {table}.{key[3]} = {key[2]}.{key[4]}"
        assert database.execute(joined).fetchall() == []
    database.close()


def test_the_keys_of_a_table_come_with_it() -> None:
    prompt = within(115, SHOP, "When was it sent?")
    assert user(prompt).startswith(
        'CREATE TABLE "order line" (\n  a INT NOT NULL,\n  "select" INT,\n  sent DATE,\n'
        '  PRIMARY KEY (a, "select")\n);\n'
    )
    assert prompt.left_out.tables == ("customer",)


def test_everything_is_either_shown_or_named_as_left_out() -> None:
    prompt = within(300)
    left = prompt.left_out
    kept = tables(prompt)
    assert sorted([*kept, *left.tables]) == sorted(table.name for table in CHAIN.tables)
    for table in CHAIN.tables:
        shown = re.search(rf"CREATE TABLE {table.name} \((.*?)\n\);", user(prompt), re.DOTALL)
        for one in table.columns:
            named = f"{table.name}.{one.name}" in left.columns
            in_text = bool(shown and re.search(rf"^  {one.name} ", shown[1], re.MULTILINE))
            assert named + in_text == (table.name in kept)


def test_order_does_not_depend_on_the_question() -> None:
    order = [table.name for table in CHAIN.tables]
    for question in (
        "shoe size by hair colour",
        "hair colour by shoe size",
        "filler29x1, filler2x1",
    ):
        shown = tables(within(300, question=question))
        assert shown == sorted(shown, key=order.index)


@pytest.mark.parametrize(
    "given",
    [
        {"question": "What about t20's filler20x3?"},
        {"question": "q", "evidence": "use filler20x3"},
        {"question": "q", "values": [ValueMatch("t20", "filler20x3", "two", "two", 0.9)]},
        {"question": "q", "history": [Turn("Which?", "SELECT filler20x3 FROM t20")]},
    ],
)
def test_question_hint_values_and_history_all_say_what_is_relevant(
    given: dict[str, object],
) -> None:
    question = str(given["question"])
    rest = {name: value for name, value in given.items() if name != "question"}
    prompt = build_prompt(CHAIN, question, budget=Budget(200, words), **rest)  # type: ignore[arg-type]
    assert "filler20x3 TEXT" in user(prompt)


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("hairColourCode", "the colour of hair"),
        ("HTTPStatus", "which status"),
        ("categories", "which category"),
        ("schoolname", "name of the school"),
        ("größe", "Welche Größe?"),
        ("学生姓名", "所有的姓名"),
    ],
)
def test_words_of_a_name_are_found_however_it_is_written(named: str, asked: str) -> None:
    schema = with_column(chain(40), "t30", column(named))
    assert named in user(within(220, schema, asked))


def test_descriptions_and_example_values_make_a_column_relevant() -> None:
    described = replace(column("a1"), description="number of inhabitants")
    valued = Column("b2", "TEXT", False, 0, ("Montevideo",))
    schema = with_column(with_column(chain(40), "t30", described), "t10", valued)
    assert "a1 TEXT" in user(within(200, schema, "How many inhabitants?"))
    assert "b2 TEXT" in user(within(200, schema, "Who lives in Montevideo?"))


def test_a_question_without_a_known_word_keeps_the_first_tables() -> None:
    assert tables(within(250, question="?"))[:2] == ["t0", "t1"]


def test_a_cycle_of_keys_and_a_key_on_its_own_table_end() -> None:
    first, *others = CHAIN.tables
    back = replace(CHAIN.tables[1].foreign_keys[0], parent="t29")
    itself = replace(back, parent="t0")
    looped = replace(first, columns=(*first.columns, column("up")), foreign_keys=(back, itself))
    prompt = within(250, replace(CHAIN, tables=(looped, *others)))
    assert {"t3", "t6"} <= {*tables(prompt)}


def test_a_budget_too_small_for_one_column_is_refused_with_the_numbers() -> None:
    with pytest.raises(TooLarge, match=r"at least 1\d\d tokens and 95 are allowed") as caught:
        within(95)
    assert "'chain'" in caught.value.message
    assert caught.value.param == "db_id"


def test_a_question_that_fills_the_budget_is_what_is_too_large() -> None:
    with pytest.raises(TooLarge) as caught:
        within(200, question="why " * 300)
    assert caught.value.param == "question"


def test_counting_is_asked_for_few_times_whatever_the_schema() -> None:
    texts: list[str] = []

    def counted(text: str) -> int:
        texts.append(text)
        return words(text)

    for tokens in (150, 400, 1200, 3000):
        texts.clear()
        build_prompt(chain(200, columns=9), QUESTION, budget=Budget(tokens, counted))
        assert len(texts) <= 17


def test_a_tokenizer_that_counts_characters_works_as_well() -> None:
    prompt = build_prompt(CHAIN, QUESTION, budget=Budget(1500, len))
    total = sum(len(message["content"]) for message in prompt.messages)
    assert 1000 < total < 1500
