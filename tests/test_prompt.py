"""The prompt is a pure function of schema, question and evidence, and its text is fixed."""

import sqlite3
from dataclasses import replace

import pytest

from service.text2sql.prompt import TEMPLATE, TEMPLATE_WITHOUT_EXAMPLES, Prompt, build_prompt
from service.text2sql.schema import Column, ForeignKey, Schema, Table

CUSTOMER = Table(
    "customer",
    "table",
    (
        Column("id", "INTEGER", False, 1, (1, 2)),
        Column("name", "TEXT", True, 0, ("Ada", "O'Neil")),
        Column("city", "", False, 0),
    ),
)
LINE = Table(
    "order line",
    "table",
    (Column("a", "INT", True, 1, (1,)), Column("select", "INT", False, 2, (2.5,))),
    (ForeignKey(("a",), "customer", ("id",)), ForeignKey(("select",), "elsewhere", ())),
)
SCHEMA = Schema("shop", (CUSTOMER, LINE))

EXPECTED = """\
CREATE TABLE customer (
  id INTEGER PRIMARY KEY, -- e.g. 1, 2
  name TEXT NOT NULL, -- e.g. 'Ada', 'O''Neil'
  city
);

CREATE TABLE "order line" (
  a INT NOT NULL, -- e.g. 1
  "select" INT, -- e.g. 2.5
  PRIMARY KEY (a, "select"),
  FOREIGN KEY (a) REFERENCES customer (id),
  FOREIGN KEY ("select") REFERENCES elsewhere
);

-- Using valid SQLite, answer the following question for the tables provided above.
-- Hint: Big means over 10.
-- How many customers
-- are big?
"""


def user(prompt: Prompt) -> str:
    return prompt.messages[1]["content"]


def test_the_users_message_is_the_schema_then_the_question() -> None:
    prompt = build_prompt(SCHEMA, " How many customers\nare big? ", "Big means over 10.\n")
    assert user(prompt) == EXPECTED
    assert [m["role"] for m in prompt.messages] == ["system", "user"]


def test_the_hash_of_this_prompt_never_changes_under_one_template_name() -> None:
    prompt = build_prompt(SCHEMA, "How many?")
    assert prompt.template == TEMPLATE == "ddl-v1"
    assert prompt.sha256 == "b5c1ef962c8fa893cc932903624cb1d13e4280a48dcb174d617914efecd2c875"


def test_questions_on_one_database_share_a_prefix() -> None:
    first, second = user(build_prompt(SCHEMA, "How many?")), user(build_prompt(SCHEMA, "Who?"))
    schema = first[: first.index("-- Using")]
    assert second.startswith(schema)
    assert "How" not in schema


def test_evidence_question_and_template_change_the_hash() -> None:
    hashes = {
        build_prompt(SCHEMA, "a").sha256,
        build_prompt(SCHEMA, "b").sha256,
        build_prompt(SCHEMA, "a", "hint").sha256,
        build_prompt(SCHEMA, "a", examples=False).sha256,
        build_prompt(Schema("other", (CUSTOMER,)), "a").sha256,
    }
    assert len(hashes) == 5


def test_blank_evidence_is_no_evidence() -> None:
    assert build_prompt(SCHEMA, "a", " \n").sha256 == build_prompt(SCHEMA, "a").sha256


def test_examples_can_be_left_out() -> None:
    prompt = build_prompt(SCHEMA, "a", examples=False)
    assert "e.g." not in user(prompt)
    assert prompt.template == TEMPLATE_WITHOUT_EXAMPLES


def test_a_line_break_cannot_leave_the_comment() -> None:
    text = user(build_prompt(SCHEMA, "a\r\nDROP\x0bTABLE\u2028x"))
    assert all(line.startswith("-- ") for line in text[text.index("-- Using") :].splitlines())


def test_a_lone_surrogate_can_be_hashed() -> None:
    assert build_prompt(SCHEMA, "a\ud800").sha256


def test_the_schema_part_is_valid_sqlite() -> None:
    odd = replace(CUSTOMER, name='sa"y', columns=(Column("a\tb", "", False, 0, ("x--y",)),))
    text = user(build_prompt(Schema("s", (CUSTOMER, LINE, odd)), "a"))
    sqlite3.connect(":memory:").executescript(text)


def _keywords() -> list[str]:
    words = (
        "abort action after all analyze and as asc begin between by cascade case cast check collate"
        " column commit conflict constraint create cross current current_date current_time"
        " current_timestamp database default deferrable delete desc detach distinct do drop"
        " each else end escape"
        " except exists explain fail filter first following for foreign from full glob group"
        " groups having if ignore immediate in index indexed initially inner insert instead"
        " intersect into is isnull join key last left like limit match materialized natural no not"
        " nothing notnull null nulls of offset on or order outer over partition plan pragma"
        " preceding primary query raise range recursive references regexp reindex release rename"
        " replace restrict returning right rollback row rows savepoint select set table temp then"
        " ties to transaction trigger unbounded union unique update using vacuum values view"
        " virtual when where window with without"
    )
    return words.split()


@pytest.mark.parametrize("word", _keywords())
def test_every_keyword_works_as_a_name(word: str) -> None:
    table = Table(word, "table", (Column(word, "TEXT", False, 0),))
    text = user(build_prompt(Schema("s", (table,)), "a"))
    database = sqlite3.connect(":memory:")
    database.executescript(text)
    named = '"' + word + '"' if f'"{word}"' in text else word
    database.execute(f"INSERT INTO {named} VALUES ('found')")
    assert database.execute(f"SELECT {named} FROM {named}").fetchall() == [("found",)]
    database.close()
