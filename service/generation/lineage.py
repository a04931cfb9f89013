"""Which tables and columns a query reads, found in its tree with the schema at hand.

Names are resolved by sqlglot's qualify: aliases, common table expressions, subqueries, stars, USING
and NATURAL joins. SQLite's own authorizer is the authority where a statement can be compiled; this
tells the same without a database. Where the two differ by rule: a view is named itself, not what
it reads; a common table expression counts even if nothing uses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, traverse_scope
from sqlglot.schema import MappingSchema

from service.generation.growth import grows_too_much, has_names_within_names
from service.generation.reading import read
from service.text2sql.schema import Schema, Table

_ROW_NAMES = {"rowid", "oid", "_rowid_"}


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is read, sorted, in the schema's own spelling; `columns` as "table.column"."""

    tables: tuple[str, ...]
    columns: tuple[str, ...]


class _Unknown(Exception):
    """A name that cannot be told for sure."""


def lineage(sql: str, schema: Schema) -> Lineage | None:
    """Tables and columns that the query reads, or None where they cannot be told for sure.

    None for what read() refuses, for a table or column that the schema lacks, a name that several
    tables have, table-valued functions, and what growth.py finds too large to resolve.
    """
    tree = read(sql, schema)
    if tree is None or has_names_within_names(tree) or grows_too_much(tree, schema):
        return None
    known = {table.name.lower(): table for table in schema.tables}
    try:
        used = set(_reads(_qualified(tree, schema), known))
    except (SqlglotError, RecursionError, ValueError, _Unknown):
        return None
    tables = {table.name for table, _ in used}
    columns = {f"{table.name}.{column}" for table, column in used if column}
    return Lineage(tuple(sorted(tables)), tuple(sorted(columns)))


def _qualified(tree: exp.Query, schema: Schema) -> exp.Query:
    mapping: dict[str, object] = {
        table.name.lower(): {column.name.lower(): "TEXT" for column in table.columns}
        for table in schema.tables
        if table.columns
    }
    return qualify(
        _lowered(tree),
        schema=MappingSchema(mapping, dialect="sqlite", normalize=False),
        dialect="sqlite",
        validate_qualify_columns=False,
        quote_identifiers=False,
        identify=False,
    )


def _lowered(tree: exp.Query) -> exp.Query:
    # Names are the same in any case for SQLite, quoted or not; sqlglot keeps quoted ones as is.
    for name in tree.find_all(exp.Identifier):
        name.set("this", name.name.lower())
    for table in tree.find_all(exp.Table):
        if table.db == "main":
            table.set("db", None)
    return tree


def _reads(tree: exp.Query, known: dict[str, Table]) -> Iterator[tuple[Table, str]]:
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                yield _table(source, known), ""
        for column in scope.columns:
            yield from _column(column, scope, known)


def _table(source: exp.Table, known: dict[str, Table]) -> Table:
    found = known.get(source.name) if isinstance(source.this, exp.Identifier) else None
    if found is None or source.db:
        raise _Unknown(source.name)
    return found


def _column(
    column: exp.Column, scope: Scope, known: dict[str, Table]
) -> Iterator[tuple[Table, str]]:
    if not column.table:
        yield from _without_table(column, scope, known)
        return
    source = _source(column, scope)
    if isinstance(source, exp.Table):
        table = _table(source, known)
        yield table, _spelling(column.name, table)


def _source(column: exp.Column, scope: Scope) -> "exp.Expr | Scope":
    place: Scope | None = scope
    while place is not None:
        if column.table in place.sources:
            return place.sources[column.table]
        place = place.parent  # a correlated subquery names tables around it
    raise _Unknown(column.sql())


def _without_table(
    column: exp.Column, scope: Scope, known: dict[str, Table]
) -> Iterator[tuple[Table, str]]:
    if _is_result_name(column.name, scope.expression):
        return  # what that column reads is counted where it is computed
    tables = [s for s in scope.sources.values() if isinstance(s, exp.Table)]
    if column.name not in _ROW_NAMES or len(tables) != 1:
        raise _Unknown(column.sql())
    table = _table(tables[0], known)
    yield table, _spelling(column.name, table)


def _is_result_name(name: str, query: exp.Expr) -> bool:
    for result in query.selects if isinstance(query, exp.Query) else ():
        own = result.unalias()
        is_itself = isinstance(own, exp.Column) and not own.table and own.name == name
        if result.alias_or_name == name and not is_itself:
            return True
    return False


def _spelling(name: str, table: Table) -> str:
    for column in table.columns:
        if column.name.lower() == name:
            return column.name
    if name in _ROW_NAMES:
        return _row_id(table)
    raise _Unknown(name)


def _row_id(table: Table) -> str:
    """The row's number is the primary key where that is one INTEGER column; SQLite's ROWID else."""
    keys = [column for column in table.columns if column.primary_key]
    is_alias = len(keys) == 1 and keys[0].type.upper() == "INTEGER"
    return keys[0].name if is_alias else "ROWID"
