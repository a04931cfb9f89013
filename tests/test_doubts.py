"""When a question is not answered with SQL: doubts on small schemas, and that they end."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.generation.doubting.judge import judge
from service.generation.doubts import Doubt, doubt
from service.text2sql.prompt import Turn
from service.text2sql.schema import Column, ForeignKey, Schema, Table
from service.text2sql.values.match import ValueMatch

FILE = yaml.safe_load((Path(__file__).parent / "cases" / "doubts.yaml").read_text())
ORDER = Turn("How many customers are there?", "SELECT count(*) FROM customer")


def _table(name: str, columns: Sequence[str]) -> Table:
    keys = []
    made = []
    for text in columns:
        said, _, key = text.partition(" -> ")
        words, first = said.removesuffix(" *").rsplit(" ", 1), said.endswith(" *")
        made.append(Column(words[0], words[1], False, int(first)))
        if key:
            parent, column = key.split(".")
            keys.append(ForeignKey((words[0],), parent, (column,)))
    return Table(name, "table", tuple(made), tuple(keys))


SCHEMAS = {
    name: Schema(name, tuple(_table(*table) for table in tables.items()))
    for name, tables in FILE["schemas"].items()
}
SHOP = SCHEMAS["shop"]
ROME = [
    ValueMatch("customer", "city", "Rome", "Rome", 1.0),
    ValueMatch("supplier", "name", "Rome", "Rome", 1.0),
    ValueMatch("orders", "placed_on", "Rome", "Rome", 1.0),
]


def asked(question: str, schema: Schema = SHOP, **given: Any) -> Doubt | None:
    return doubt(
        question,
        given.get("evidence", ""),
        given.get("history", ()),
        schema,
        given.get("values", ()),
    )


@pytest.mark.parametrize("case", FILE["cases"], ids=lambda case: f"{case[0]}: {case[1]}")
def test_a_question_raises_this_doubt(case: list[Any]) -> None:
    schema, question, status, *says = case
    found = asked(question, SCHEMAS[schema])
    assert (found.status if found else "none") == status, found
    for part in says[0] if says else ():
        assert found
        assert part in found.text


ASKING_BACK = [
    (name, question) for name, question, status, *_ in FILE["cases"] if status == "clarify"
]


@pytest.mark.parametrize(("name", "question"), ASKING_BACK)
def test_the_chosen_option_in_the_evidence_is_not_asked_back(name: str, question: str) -> None:
    found = asked(question, SCHEMAS[name])
    assert found
    assert found.options
    for option in found.options:
        for written in (option, option.replace("`", ""), f"Meant is {option}."):
            assert asked(question, SCHEMAS[name], evidence=written) is None, written


@pytest.mark.parametrize(("name", "question"), ASKING_BACK)
def test_with_history_nothing_is_asked_back(name: str, question: str) -> None:
    assert asked(question, SCHEMAS[name], history=[ORDER]) is None


def test_evidence_that_names_the_schema_makes_a_strange_question_answerable() -> None:
    question = "How many airports are there in each county?"
    assert asked(question)
    assert asked(question, evidence="airports are suppliers") is None


def test_a_value_in_unrelated_columns_is_asked_about() -> None:
    values = [ROME[0], ROME[2]]
    found = asked("How many are there of Rome?", values=values)
    assert found
    assert found.options == ("`customer`.`city`", "`orders`.`placed_on`")
    for option in found.options:
        assert asked("How many are there of Rome?", values=values, evidence=option) is None


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("How many are there of Rome?", ROME[:1]),
        ("How many customers are there of Rome?", [ROME[0], ROME[2]]),
        ("In which city is Rome?", [ROME[0], ROME[2]]),
        ("How many are there of Rome?", ROME),  # one of them is a thing's name: that is meant
        ("How many are there of Rome?", [ROME[0], replace(ROME[0], table="supplier")]),
    ],
)
def test_a_value_whose_column_is_plain_is_not(question: str, values: list[ValueMatch]) -> None:
    assert asked(question, values=values) is None


def test_columns_that_a_key_joins_are_one() -> None:
    tables = {"a": ["code_x int *", "p int"], "b": ["code_x int -> a.code_x", "q int"]}
    joined = Schema("s", tuple(_table(*table) for table in tables.items()))
    apart = Schema("s", (_table("a", ["w real"]), _table("b", ["w real"])))
    assert asked("What is the average code x?", joined) is None
    assert asked("What is the maximum w?", apart)


def test_without_value_retrieval_no_word_is_said_to_be_missing() -> None:
    question = "How many airports are there in each county?"
    assert doubt(question, "", (), SHOP, None) is None
    assert doubt("delete all customers", "", (), SHOP, None)


def test_a_value_of_the_database_makes_its_words_known() -> None:
    question = "How many are there in ulan bator?"
    assert asked(question)
    assert (
        asked(question, values=[ValueMatch("customer", "city", "Ulan Bator", "ulan bator", 1.0)])
        is None
    )


def test_descriptions_and_examples_are_words_of_the_database() -> None:
    question = "How many glaciers are there in Rome?"
    assert asked(question, SCHEMAS["cars"])
    for column in (
        Column("x", "text", False, 0, description="the glacier's area"),
        Column("x", "text", False, 0, examples=("glacier",)),
    ):
        assert asked(question, Schema("s", (Table("t", "table", (column,)),))) is None


def test_names_in_a_text_stay_on_one_line_and_short() -> None:
    wild = Schema("s", tuple(_table(f"a`b\n{'x' * 500}{n}", ["y text"]) for n in range(9)))
    found = asked("How many airports are there in each county?", wild)
    assert found
    assert "\n" not in found.text
    assert len(found.text) < 1000


HOSTILE = [
    "", " ", "\0", "\ud800", "\u2019" * 5000, "'" * 5000, "a" * 200_000, "the " * 50_000,
    "\u202e\u200b",
    "(" * 10_000, "please " * 20_000, "please, " * 20_000 + "x", "delete " * 20_000, "`;--" * 9_000,
    "change the " + "to " * 50_000, "hi, " * 30_000, "🎵🎶", "how many 🎵 are there", "1 2 3",
    "İ" * 300,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
@pytest.mark.parametrize("evidence", ["", "\0", "x" * 100_000])
def test_no_text_breaks_it(text: str, evidence: str) -> None:
    for values in ((), None, [ValueMatch(text, text, text, text, 1.0)]):
        for schema in (*SCHEMAS.values(), Schema("", ()), Schema("", (Table("", "view", ()),))):
            found = doubt(text, evidence, (), schema, values)
            assert found is None or found.text


def test_no_mixture_of_words_breaks_it() -> None:
    dice = random.Random(3)
    parts = [
        *SHOP.db_id,
        "customer",
        "weight",
        "the",
        "best",
        "of",
        "their",
        "?",
        "5",
        "\u2019s",
        "Rome",
    ]
    for _ in range(500):
        text = " ".join(dice.choices(parts, k=dice.randrange(12)))
        found = asked(text, values=dice.choice([(), ROME]))
        assert found is None or found.text


def test_names_of_any_kind_do_not_break_it() -> None:
    names = ["", " ", "1", "\ud800", "İ", "_", "a" * 5000, "表", "select", "*"]
    tables = tuple(_table(name, [f"{name} text", "weight real"]) for name in names)
    for question in ("What is the average weight?", "Show the top 5 orders", "List their names"):
        found = asked(question, Schema("s", tables))
        assert found is None or found.text


def test_the_same_question_raises_the_same_doubt_on_an_equal_schema() -> None:
    for name, question, *_ in FILE["cases"]:
        schema = SCHEMAS[name]
        copy = replace(schema, tables=tuple(replace(table) for table in schema.tables))
        assert asked(question, schema) == asked(question, copy)


def test_the_score_says_where_it_comes_from() -> None:
    assert "bench.doubts fit" in judge().origin
    assert judge().weights[0] > 0 > judge().weights[2]
