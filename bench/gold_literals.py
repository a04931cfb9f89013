"""String literals of a gold query and the columns that they are compared with (=, IN, <>)."""

from collections.abc import Iterator
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from service.text2sql.schema import Schema, Table


class GoldLiteral(NamedTuple):
    """`value` is compared with `table`.`column`, all spelt as the schema spells them."""

    table: str
    column: str
    value: str


def gold_literals(sql: str, schema: Schema) -> set[GoldLiteral]:
    """Those that can be traced to a column of a table; none of a query that does not parse."""
    try:
        tree = sqlglot.parse_one(sql, dialect="sqlite")
    except SqlglotError:
        return set()
    tables = {table.name.lower(): table for table in schema.tables}
    return {found for node in tree.walk() for found in _compared(node, tables)}


def _compared(node: exp.Expression, tables: dict[str, Table]) -> Iterator[GoldLiteral]:
    if isinstance(node, exp.EQ | exp.NEQ):
        sides = [(node.this, [node.expression]), (node.expression, [node.this])]
    elif isinstance(node, exp.In):
        sides = [(node.this, node.expressions)]
    else:
        return
    for column, others in sides:
        texts = [text for other in others if (text := _text(other, tables)) is not None]
        if texts and isinstance(column, exp.Column) and (home := _home(column, tables)):
            yield from (GoldLiteral(*home, text) for text in texts)


def _text(node: exp.Expression, tables: dict[str, Table]) -> str | None:
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    # In double quotes SQLite takes what is no column for a text.
    if isinstance(node, exp.Column) and not node.table and node.this.args.get("quoted"):
        columns = {c.name.lower() for table in tables.values() for c in table.columns}
        return None if node.name.lower() in columns else node.name
    return None


def _home(column: exp.Column, tables: dict[str, Table]) -> tuple[str, str] | None:
    select = column.find_ancestor(exp.Select)
    while select is not None:
        for source in _sources(select):
            table = tables.get(source.name.lower())
            if table and column.table.lower() in ("", source.alias_or_name.lower()):
                for known in table.columns:
                    if known.name.lower() == column.name.lower():
                        return table.name, known.name
        select = select.find_ancestor(exp.Select)
    return None


def _sources(select: exp.Select) -> Iterator[exp.Table]:
    return (t for t in select.find_all(exp.Table) if t.find_ancestor(exp.Select) is select)
