"""What each template makes of a small schema, and that the docs show just that."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from service.errors import UnsupportedValue
from service.text2sql.prompt import DEFAULT, TEMPLATES, Template, build_prompt
from service.text2sql.schema import Column, Schema, Table
from tests.fixtures_prompt import CUSTOMER, LINE, SHOP, user

ROOT = Path(__file__).parents[1]
EXPECTED = yaml.safe_load((ROOT / "tests" / "cases" / "templates.yaml").read_text("utf-8"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_text_of_a_schema_is_fixed_under_one_name(name: str) -> None:
    assert Template.parse(name).render(SHOP) == EXPECTED[name].rstrip("\n")


@pytest.mark.parametrize("name", [n for n in TEMPLATES if n.endswith("+examples+descriptions")])
def test_the_docs_show_what_a_template_makes(name: str) -> None:
    documented = (ROOT / "docs" / "prompts.md").read_text("utf-8")
    assert f"`{name}`" in documented
    assert f"```\n{EXPECTED[name]}```\n" in documented


def test_a_name_says_form_version_and_options() -> None:
    assert str(Template("m_schema", examples=True, descriptions=False)) == "m_schema-v1+examples"
    assert len(set(TEMPLATES)) == len(TEMPLATES) == 12
    assert [str(Template.parse(name)) for name in TEMPLATES] == list(TEMPLATES)


def test_the_version_may_be_left_out() -> None:
    assert Template.parse(" ddl+examples+descriptions ") == DEFAULT
    assert Template.parse("light") == Template("light", examples=False, descriptions=False)


@pytest.mark.parametrize("name", ["", "ddl-v1", "ddl+descriptions+examples", "xml", "x" * 10_000])
def test_an_unknown_name_is_refused_and_the_known_are_named(name: str) -> None:
    with pytest.raises(UnsupportedValue, match=r"known: ddl-v2, .*light-v1\+examples") as caught:
        Template.parse(name)
    assert caught.value.param == "template"
    assert len(caught.value.message) < 1000


def test_shorter_templates_lose_descriptions_first() -> None:
    assert [str(step) for step in Template("light").shorter()] == [
        "light-v1+examples+descriptions",
        "light-v1+examples",
        "light-v1",
    ]
    bare = Template("ddl", examples=False, descriptions=False)
    assert bare.shorter() == [bare]


def test_a_key_is_shown_where_the_parents_columns_are_known() -> None:
    assert "REFERENCES elsewhere\n" in Template("ddl").render(SHOP)
    for name in ("m_schema", "light"):
        assert "elsewhere" not in Template.parse(name).render(SHOP)


def test_m_schema_shows_one_example_where_values_are_long() -> None:
    long = Column("c", "TEXT", False, 0, ("short", "x" * 21))
    text = Template.parse("m_schema+examples").render(Schema("s", (Table("t", "table", (long,)),)))
    assert "(c:TEXT, Examples: [short])" in text


def test_braces_in_a_description_do_not_end_it_in_the_light_form() -> None:
    odd = replace(CUSTOMER.columns[0], description="a } b {")
    text = Template("light").render(Schema("s", (replace(CUSTOMER, columns=(odd,)),)))
    assert "{a ) b (}" in text


def test_the_light_form_explains_only_what_it_shows() -> None:
    plain = Schema("s", (Table("t", "table", (Column("c", "", False, 0),)),))
    assert Template("light").render(plain) == (
        "Tables, as table(column type, ...); * marks the primary key:\nt(c)"
    )


def test_the_ddl_is_valid_sqlite() -> None:
    odd = replace(CUSTOMER, name='sa"y', columns=(Column("a  b", "", False, 0, ("x--y",)),))
    text = user(build_prompt(Schema("s", (CUSTOMER, LINE, odd)), "a"))
    assert '"a  b"' in text
    database = sqlite3.connect(":memory:")
    database.executescript(text)
    database.close()


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
