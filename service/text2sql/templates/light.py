"""The schema in as few tokens as it takes: a table a line, then the keys that join them."""

from service.text2sql.schema import Column, Schema, Table
from service.text2sql.templates.written import declared, literal, name, references, remark

VERSION = 1
_NO_BRACES = str.maketrans("{}", "()")


def render(schema: Schema, examples: bool, descriptions: bool) -> str:
    """`table(column type, ...)` with `*` at primary keys, names quoted where SQL needs it."""
    tables = [_table(table, examples, descriptions) for table in schema.tables]
    keys = [
        f"{name(table)}.{name(column)} = {name(parent)}.{name(parent_column)}"
        for table, column, parent, parent_column in references(schema)
    ]
    joins = ["", "Joins:", *keys] if keys else []
    return "\n".join([_legend(schema, examples, descriptions), *tables, *joins])


def _legend(schema: Schema, examples: bool, descriptions: bool) -> str:
    columns = [column for table in schema.tables for column in table.columns]
    examples = examples and any(column.examples for column in columns)
    descriptions = descriptions and any(remark(column) for column in columns)
    meaning = " {meaning}" if descriptions else ""
    values = " [example values]" if examples else ""
    return f"Tables, as table(column type{meaning}{values}, ...); * marks the primary key:"


def _table(table: Table, examples: bool, descriptions: bool) -> str:
    columns = ", ".join(_column(column, examples, descriptions) for column in table.columns)
    return f"{name(table.name)}({columns})"


def _column(column: Column, examples: bool, descriptions: bool) -> str:
    parts = [name(column.name) + ("*" if column.primary_key else ""), declared(column)]
    if descriptions and (said := remark(column)):
        parts.append("{" + said.translate(_NO_BRACES) + "}")
    if examples and column.examples:
        parts.append("[" + ", ".join(literal(value) for value in column.examples) + "]")
    return " ".join(part for part in parts if part)
