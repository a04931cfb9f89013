"""The schema as M-Schema, the form of XiYan-SQL (arXiv 2411.08599; XGenerationLab/M-Schema).

As published: names are not quoted, types lose what is in parentheses, and of dates and of values
over 20 characters only the first example is shown.
"""

from service.text2sql.schema import Column, Schema, Table
from service.text2sql.templates.written import declared, references, remark
from service.text2sql.untrusted import visible

VERSION = 1
_LONG = 20
_ONE_EXAMPLE = ("DATE", "TIME", "DATETIME", "TIMESTAMP")


def render(schema: Schema, examples: bool, descriptions: bool) -> str:
    """Name of the database, tables in the order of the schema, then all foreign keys."""
    tables = [_table(table, examples, descriptions) for table in schema.tables]
    lines = [f"【DB_ID】 {visible(schema.db_id)}", "【Schema】", *tables]
    keys = [
        visible(f"{table}.{column}={parent}.{parent_column}")
        for table, column, parent, parent_column in references(schema)
    ]
    return "\n".join([*lines, *(["【Foreign keys】", *keys] if keys else [])])


def _table(table: Table, examples: bool, descriptions: bool) -> str:
    columns = ",\n".join(_column(column, examples, descriptions) for column in table.columns)
    return f"# Table: {visible(table.name)}\n[\n{columns}\n]"


def _column(column: Column, examples: bool, descriptions: bool) -> str:
    kind = declared(column).split("(")[0].strip().upper()
    parts = [visible(column.name) + (f":{kind}" if kind else "")]
    parts.append(remark(column) if descriptions else "")
    parts.append("Primary Key" if column.primary_key else "")
    parts.append(_examples(column, kind) if examples else "")
    return f"({', '.join(part for part in parts if part)})"


def _examples(column: Column, kind: str) -> str:
    shown = [visible(str(value)) for value in column.examples]
    if kind in _ONE_EXAMPLE or any(len(text) > _LONG for text in shown):
        shown = shown[:1]
    return f"Examples: [{', '.join(shown)}]" if shown else ""
