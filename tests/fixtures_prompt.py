"""Schemas that prompts are built from, without a database."""

from dataclasses import replace

from service.text2sql.prompt import Prompt
from service.text2sql.schema import Column, ForeignKey, Schema, Table

CUSTOMER = Table(
    "customer",
    "table",
    (
        Column("id", "INTEGER", False, 1, (1, 2)),
        Column("name", "VARCHAR(40)", True, 0, ("Ada", "O'Neil"), "full name of the customer"),
        Column("city", "", False, 0, ("P", "R"), "where they live", "P: Paris; R: Rome"),
    ),
)
LINE = Table(
    "order line",
    "table",
    (
        Column("a", "INT", True, 1, (1,)),
        Column("select", "INT", False, 2, (2.5,)),
        Column("sent", "DATE", False, 0, ("2024-01-05", "2024-02-01")),
    ),
    (ForeignKey(("a",), "customer", ("id",)), ForeignKey(("select",), "elsewhere", ())),
)
SHOP = Schema("shop", (CUSTOMER, LINE))


def column(name: str, *, key: int = 0) -> Column:
    return Column(name, "TEXT", False, key, ("one", "two", "three"))


def chain(length: int, columns: int = 6) -> Schema:
    """Tables t0 to tN, each with a key on the one before, and columns that nobody asks about."""
    tables = [
        Table(
            f"t{i}",
            "table",
            (
                column("id", key=1),
                *([column("up")] if i else []),
                *(column(f"filler{i}x{j}") for j in range(columns)),
            ),
            (ForeignKey(("up",), f"t{i - 1}", ("id",)),) if i else (),
        )
        for i in range(length)
    ]
    return Schema("chain", tuple(tables))


def with_column(schema: Schema, table: str, added: Column) -> Schema:
    """The schema with one more column at the end of a table."""
    tables = (
        replace(t, columns=(*t.columns, added)) if t.name == table else t for t in schema.tables
    )
    return replace(schema, tables=tuple(tables))


def user(prompt: Prompt) -> str:
    """The message that holds the schema."""
    return prompt.messages[1]["content"]


def words(text: str) -> int:
    """Tokens of a model that knows whole words."""
    return len(text.split())
