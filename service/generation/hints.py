"""What the schema says about an error of the SQL engine: where a missing name really is. Pure."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from service.text2sql.schema import Schema
from service.text2sql.templates.written import name as written

_COLUMN = re.compile(r"no such column: (?:.*\.)?(.+?)(?: \(|\Z)")
_TABLE = re.compile(r"no such table: (?:main\.)?(.+?)(?: \(|\Z)")
_AMBIGUOUS = re.compile(r"ambiguous column name: (.+?)(?: \(|\Z)")
_MOST = 5  # names that one hint gives


def hint(error: str, schema: Schema) -> str:
    """A sentence, or nothing where the schema has nothing to say."""
    if found := _COLUMN.search(error) or _AMBIGUOUS.search(error):
        return _about_column(found[1].strip('"`[]'), schema)
    if found := _TABLE.search(error):
        return _about_table(found[1].strip('"`[]'), schema)
    return ""


def _about_column(name: str, schema: Schema) -> str:
    places = [(table.name, c.name) for table in schema.tables for c in table.columns]
    same = [place for place in places if place[1].lower() == name.lower()]
    if not same:
        near = set(_near(name, (column for _, column in places)))
        same = [place for place in places if place[1] in near]
    if not same:
        return ""
    shown = [f"{written(table)}.{written(column)}" for table, column in same[:_MOST]]
    return f"The schema has {', '.join(shown)}: join the tables that you need."


def _about_table(name: str, schema: Schema) -> str:
    near = _near(name, (table.name for table in schema.tables))
    return f"The schema has {', '.join(map(written, near))}." if near else ""


def _near(name: str, names: Iterator[str]) -> list[str]:
    spelled = {n.lower(): n for n in names}
    return [spelled[n] for n in get_close_matches(name.lower(), spelled, n=_MOST, cutoff=0.7)]
