"""The schema as CREATE statements; descriptions and example values are comments behind columns."""

from collections.abc import Iterator

from service.text2sql.schema import Column, ForeignKey, Schema, Table
from service.text2sql.templates.written import declared, literal, name, names, remark

VERSION = 2
"""1 differed where text from the database was hostile, and was named `ddl-v1[-no-examples]`."""


def render(schema: Schema, examples: bool, descriptions: bool) -> str:
    """Valid SQLite, a column or key a line, tables in the order of the schema."""
    return "\n\n".join(_create(table, examples, descriptions) for table in schema.tables)


def _create(table: Table, examples: bool, descriptions: bool) -> str:
    lines = [*_column_lines(table), *_key_lines(table)]
    comments = [_comment(column, examples, descriptions) for column in table.columns]
    comments += [""] * (len(lines) - len(comments))
    last = len(lines) - 1
    body = "\n".join(
        f"  {line}{',' if i < last else ''}{comments[i]}" for i, line in enumerate(lines)
    )
    return f"CREATE {table.kind.upper()} {name(table.name)} (\n{body}\n);"


def _column_lines(table: Table) -> Iterator[str]:
    single = len(table.primary_key) == 1
    for column in table.columns:
        words = [name(column.name), declared(column)]
        if single and column.primary_key:
            words.append("PRIMARY KEY")
        elif column.not_null:
            words.append("NOT NULL")
        yield " ".join(word for word in words if word)


def _key_lines(table: Table) -> Iterator[str]:
    if len(table.primary_key) > 1:
        yield f"PRIMARY KEY ({names(table.primary_key)})"
    for key in table.foreign_keys:
        yield _foreign_key(key)


def _foreign_key(key: ForeignKey) -> str:
    parent = f" ({names(key.parent_columns)})" if key.parent_columns else ""
    return f"FOREIGN KEY ({names(key.columns)}) REFERENCES {name(key.parent)}{parent}"


def _comment(column: Column, examples: bool, descriptions: bool) -> str:
    parts = [remark(column) if descriptions else ""]
    if examples and column.examples:
        parts.append("e.g. " + ", ".join(literal(value) for value in column.examples))
    said = "; ".join(part for part in parts if part)
    return f" -- {said}" if said else ""
