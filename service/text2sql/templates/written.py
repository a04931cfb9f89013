"""Names, types, values and remarks of a schema as they stand in a prompt, each on one line."""

import re
from collections.abc import Iterator
from functools import lru_cache

from service.text2sql.schema import Column, Schema, Value, quoted
from service.text2sql.untrusted import one_line, visible

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(
    "add all alter and as autoincrement between case cast check collate commit constraint create"
    " current_date current_time current_timestamp default deferrable delete distinct drop else"
    " escape except exists foreign from group having if in index insert intersect into is isnull"
    " join limit not nothing notnull null on or order primary raise references returning select set"
    " table then to transaction union unique update using values when where".split()
)
"""Words that SQLite does not read as a name unless they are quoted."""
_LONGEST_TYPE = 60


def name(identifier: str) -> str:
    """The identifier as SQL needs it: in double quotes unless it is a plain word."""
    plain = _PLAIN.match(identifier) and identifier.lower() not in _RESERVED
    return identifier if plain else quoted(visible(identifier))


def names(identifiers: tuple[str, ...]) -> str:
    """The identifiers as in a list of columns."""
    return ", ".join(name(identifier) for identifier in identifiers)


def declared(column: Column) -> str:
    """The declared type, which SQLite lets be any text; empty where there is none."""
    return _short(column.type)


@lru_cache(maxsize=1024)
def _short(declared_type: str) -> str:
    return one_line(declared_type, _LONGEST_TYPE)


def literal(value: Value) -> str:
    """The value as SQL writes it."""
    return "'" + visible(value).replace("'", "''") + "'" if isinstance(value, str) else str(value)


def remark(column: Column) -> str:
    """What the column and its values mean, as far as somebody described them."""
    values = f"values: {column.value_description}" if column.value_description else ""
    return visible("; ".join(part for part in (column.description, values) if part))


def references(schema: Schema) -> Iterator[tuple[str, str, str, str]]:
    """Each pair of a foreign key whose parent columns are known: table, column, parent, column."""
    for table in schema.tables:
        for key in table.foreign_keys:
            for column, parent_column in zip(key.columns, key.parent_columns, strict=False):
                yield table.name, column, key.parent, parent_column
