"""What is said of a query: the words, that nothing is left out, and that no change goes unheard."""

from pathlib import Path

import pytest
import sqlglot
import yaml
from sqlglot import exp

from service.generation import reading
from service.generation.explain import explain
from service.text2sql.schema import Column, Schema, Table
from tests.fixtures_gold import DATA, Gold, data_golds, demo_golds
from tests.sql_mutations import CHANGES, mutations

CASES = yaml.safe_load((Path(__file__).parent / "cases" / "explanations.yaml").read_text())
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"gold SQL: no {DATA.name} folder")


def table(name: str, *columns: str) -> Table:
    return Table(name, "table", tuple(Column(column, "TEXT", False, 0) for column in columns))


SHOP = Schema(
    "shop",
    (
        table("customer", "id", "name", "city", "first name"),
        table("orders", "id", "customer_id", "amount", "ordered_on"),
    ),
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> list[Gold]:
    return demo_golds(tmp_path_factory.mktemp("demo"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"])
def test_a_query_is_said_in_these_words(case: dict[str, str | None]) -> None:
    assert explain(case["sql"] or "", SHOP) == case["says"]


def left_out(gold: Gold) -> list[str]:
    """Tables, columns and literals of the statement that its explanation does not hold."""
    said = explain(gold.sql, gold.schema)
    assert said is not None, gold.sql
    tree = sqlglot.parse_one(gold.sql, read="sqlite")
    names = [node.name for node in tree.find_all(exp.Table)]
    for node in tree.find_all(exp.Column, exp.Literal):
        # A pattern's wildcards are said in words.
        is_pattern = isinstance(node.parent, exp.Like) and node.arg_key == "expression"
        names.append(node.name.strip("%") if is_pattern else node.name)
    return [name for name in names if name.replace("'", "''") not in said and name != "*"]


def unheard(gold: Gold) -> tuple[set[str], list[str]]:
    """Which changes the statement allows, and those that do not change what is said."""
    said, made, same = explain(gold.sql, gold.schema), set(), []
    for name, changed in mutations(gold.sql):
        made.add(name)
        if explain(changed, gold.schema) == said:
            same.append(f"{name}: {changed}")
    return made, same


def test_every_name_and_literal_of_the_demo_is_said(demo: list[Gold]) -> None:
    assert [(gold.sql, left_out(gold)) for gold in demo if left_out(gold)] == []


@needs_data
def test_every_name_and_literal_of_published_gold_is_said() -> None:
    golds = data_golds()
    assert len(golds) > 500
    assert [(gold.sql, left_out(gold)) for gold in golds if left_out(gold)] == []


def test_no_change_of_the_demo_goes_unheard(demo: list[Gold]) -> None:
    found = [unheard(gold) for gold in demo if len(gold.sql) < 500]
    assert [line for _, same in found for line in same] == []
    made = set().union(*(made for made, _ in found))
    assert made >= set(CHANGES) - {"union all"}


@needs_data
def test_no_change_of_published_gold_goes_unheard() -> None:
    assert [line for gold in data_golds(every=40) for line in unheard(gold)[1]] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["sql"])
def test_no_change_of_a_case_goes_unheard(case: dict[str, str | None]) -> None:
    if case["says"] is not None:
        assert unheard(Gold(str(case["sql"]), Path(), SHOP))[1] == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "(" * 60 + "1" + ")" * 60,
        "SELECT " + "CASE WHEN 1 THEN " * 60 + "1" + " END" * 60,
        "SELECT " + "NOT " * 500 + "1",
        "SELECT " + "- " * 500 + "1",
        "SELECT 1 WHERE " + " AND ".join(["a = 1"] * 20_000),
        "SELECT '" + "a" * reading.MAX_BYTES + "'",
        "SELECT " + "(SELECT " * 40 + "1" + ")" * 40,
    ],
    ids=lambda sql: sql[:24],
)
def test_what_is_too_deep_or_too_long_is_not_explained(sql: str) -> None:
    assert explain(sql, SHOP) is None


def test_the_nesting_allowed_is_the_nesting_documented() -> None:
    def nested(depth: int) -> str:
        return "SELECT " + "(" * depth + "1" + ")" * depth

    assert explain(nested(reading.MAX_NESTING), SHOP) is not None
    assert explain(nested(reading.MAX_NESTING + 1), SHOP) is None


def test_a_long_chain_within_bounds_is_explained_or_given_up_but_never_raises() -> None:
    for sql in (
        "SELECT name FROM customer WHERE " + " OR ".join(f"id = {n}" for n in range(700)),
        "SELECT " + " + ".join(["amount"] * 1400) + " FROM orders",
        " UNION ".join(["SELECT 1"] * 900),
    ):
        said = explain(sql, SHOP)
        assert said is None or said.startswith("Lists")
