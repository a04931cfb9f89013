"""The bench of value retrieval on a tiny dataset."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import value_speed
from bench.gold_literals import GoldLiteral, gold_literals
from bench.value_retrieval import measure
from service.text2sql.schema import Column, Schema, Table

SCHEMA = Schema(
    "s",
    (
        Table("City", "table", (Column("Name", "TEXT", False, 0), Column("id", "INT", False, 1))),
        Table("Trip", "table", (Column("City", "INT", False, 0), Column("Kind", "TEXT", False, 0))),
    ),
)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT id FROM city WHERE name = 'Rome'", {GoldLiteral("City", "Name", "Rome")}),
        ('SELECT id FROM city WHERE "Rome" = name', {GoldLiteral("City", "Name", "Rome")}),
        ("SELECT 1 FROM city WHERE name IN ('a', 'b')", {("City", "Name", x) for x in "ab"}),
        (
            "SELECT 1 FROM city AS t1 JOIN trip AS t2 ON t1.id = t2.city WHERE t2.kind <> 'bus'",
            {GoldLiteral("Trip", "Kind", "bus")},
        ),
        (
            "SELECT 1 FROM city AS t WHERE id IN (SELECT city FROM trip AS t WHERE t.kind = 'bus')",
            {GoldLiteral("Trip", "Kind", "bus")},
        ),
        ("SELECT id FROM city WHERE id = 3 AND name LIKE '%x%'", set()),
        ("SELECT id FROM city WHERE name = \"kind\" OR nothing = 'x'", set()),
        ("SELECT FROM WHERE", set()),
    ],
)
def test_literals_of_a_gold_are_traced_to_their_columns(sql: str, found: set[GoldLiteral]) -> None:
    assert gold_literals(sql, SCHEMA) == found


def dataset(shop: Path) -> Path:
    golds = {
        "Who lives in Rome?": "SELECT name FROM customer WHERE city = 'Rome'",
        "Who lives in PARIS?": "SELECT name FROM customer WHERE city = 'Paris'",
        "Who lives in Lima?": "SELECT name FROM customer WHERE city = 'Lima'",
        "How many orders are there?": "SELECT count(*) FROM orders",
    }
    rows = [{"db_id": "shop", "question": q, "SQL": sql} for q, sql in golds.items()]
    path = shop.parents[1] / "dev.json"
    path.write_text(json.dumps(rows))
    return path


def test_found_literals_and_noise_are_counted(shop: Path) -> None:
    figures = asyncio.run(measure(dataset(shop), limit=10))
    assert figures["questions"] == 4
    assert figures["verbatim"] == {"literals": 1, "found": 1.0, "in_any_column": 1.0}
    assert figures["reworded"] == {"literals": 1, "found": 1.0, "in_any_column": 1.0}
    assert figures["not_in_database"] == 1
    assert (figures["matches_a_question"], figures["matches_without_literal"]) == (0.5, 0.0)


def test_spoilt_questions_are_those_with_a_literal_long_enough(
    make_database: Callable[[str, str], Path],
) -> None:
    path = make_database("t", "CREATE TABLE t (a); INSERT INTO t VALUES ('Greece'), ('Oslo')")
    golds = [("Is it Greece?", "Greece"), ("Is it Oslo?", "Oslo")]
    rows = [
        {"db_id": "t", "question": q, "SQL": f"SELECT 1 FROM t WHERE a = '{v}'"} for q, v in golds
    ]
    (path.parents[1] / "dev.json").write_text(json.dumps(rows))
    figures = asyncio.run(measure(path.parents[1] / "dev.json", limit=10, spoil="typo"))
    assert figures["questions"] == 1
    assert figures["reworded"]["found"] == 1.0


def test_a_made_index_is_measured() -> None:
    figures = asyncio.run(value_speed.measure(values=120, questions=5))
    assert 100 < figures["values"] <= 120
    assert figures["question_ms"]["p95"] > 0
