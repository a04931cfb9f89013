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
    """The names of a schema's columns, and of those in sight of each select, found once."""

    def __init__(self, schema: Schema) -> None:
        self._tables = {
            table.name.lower(): {column.name.lower() for column in table.columns}
            for table in schema.tables
        }
        self._columns = set[str]().union(*self._tables.values())
        self._in_from: dict[int, set[str]] = {}

    def in_from(self, select: exp.Select) -> set[str]:
        """Those that FROM gives; all where it holds more than tables of the schema."""
        if id(select) not in self._in_from:
            self._in_from[id(select)] = self._found(select)
        return self._in_from[id(select)]

    def _found(self, select: exp.Select) -> set[str]:
        found = set[str]()
        for source in sources(select):
            is_table = isinstance(source, exp.Table)
            columns = self._tables.get(source.name.lower()) if is_table else None
            if columns is None:  # a subquery, a common table expression, or not of this schema
                return self._columns
            found |= columns
        return found


def _may_be_a_column(column: exp.Column, known: _Known) -> bool:
    name = column.name.lower()
    if name in _ROW_NAMES:
        return True
    select = column.find_ancestor(exp.Select)
    while select is not None:
        if name in known.in_from(select):
            return True
        select = select.find_ancestor(exp.Select)
    return False


def _given_names(tree: exp.Query) -> set[str]:
    aliases = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    named = (part.name.lower() for a in tree.find_all(exp.TableAlias) for part in a.columns)
    return aliases.union(named)


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
