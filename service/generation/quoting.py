"""Double quotes as SQLite reads them: a column where one has that name, otherwise a text.

Source: https://www.sqlite.org/quirks.html, "Double-quoted String Literals Are Accepted".
"""

from collections.abc import Iterator

from sqlglot import exp

from service.text2sql.schema import Schema

_DOUBLE = "double quotes"
_ROW_NAMES = {"rowid", "oid", "_rowid_"}


def mark_double_quotes(tree: exp.Query, sql: str) -> exp.Query:
    """The same tree, its names in double quotes marked: sqlglot forgets which quotes they had.

    Names in back quotes or square brackets are names alone, for SQLite too.
    """
    for name in tree.find_all(exp.Identifier):
        start = name.meta.get("start")
        if name.args.get("quoted") and start is not None and sql[start : start + 1] == '"':
            name.meta[_DOUBLE] = True
    return tree


def with_text_in_double_quotes(tree: exp.Query, schema: Schema) -> exp.Query:
    """The same tree with every marked name that no column can have turned into a string."""
    given, known = _given_names(tree), _Known(schema)
    for column in list(unsure_quotes(tree)):
        if column.name.lower() not in given and not _may_be_a_column(column, known):
            column.replace(exp.Literal.string(column.name))
    return tree


def unsure_quotes(tree: exp.Query) -> Iterator[exp.Column]:
    """Marked names without a table, which SQLite takes for texts where no column has the name."""
    return (column for column in tree.find_all(exp.Column) if _is_quoted_alone(column))


def _is_quoted_alone(column: exp.Column) -> bool:
    return bool(column.this.meta.get(_DOUBLE)) and not column.table


class _Known:
    """The names of a schema's columns, looked up for every name in quotes."""

    def __init__(self, schema: Schema) -> None:
        self.tables = {
            table.name.lower(): {column.name.lower() for column in table.columns}
            for table in schema.tables
        }
        self.columns = set().union(*self.tables.values())


def _may_be_a_column(column: exp.Column, known: _Known) -> bool:
    name = column.name.lower()
    if name in _ROW_NAMES:
        return True
    for source in _sources_in_sight(column):
        columns = known.tables.get(source.name.lower()) if isinstance(source, exp.Table) else None
        if columns is None:  # a subquery, a common table expression, or not of this schema
            return name in known.columns
        if name in columns:
            return True
    return False


def _given_names(tree: exp.Query) -> set[str]:
    aliases = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    named = (part.name.lower() for a in tree.find_all(exp.TableAlias) for part in a.columns)
    return aliases.union(named)


def _sources_in_sight(column: exp.Column) -> Iterator[exp.Expr]:
    select = column.find_ancestor(exp.Select)
    while select is not None:
        yield from sources(select)
        select = select.find_ancestor(exp.Select)


def sources(select: exp.Select) -> Iterator[exp.Expr]:
    """What stands in FROM and its joins, joins in parentheses opened."""
    start = select.args.get("from_")
    places = [start] if start else []
    places += select.args.get("joins") or []
    waiting = [place.this for place in places]
    while waiting:
        source = waiting.pop(0)
        nested = source.args.get("joins") or []
        waiting += [join.this for join in nested]
        if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table):
            waiting.append(source.this)
        else:
            yield source
