"""Rows and groups: bare columns, names of results, row numbers, functions of SQLite's own."""

from collections.abc import Iterator

from sqlglot import exp

from service.generation.portability.target import Target

_ROW_NAMES = {"rowid", "oid", "_rowid_"}
_NAMES_IN_WHERE = ("snowflake", "databricks", "redshift", "clickhouse", "teradata")
_NAMES_IN_HAVING = (
    *(*_NAMES_IN_WHERE, "mysql", "duckdb", "bigquery", "spark", "spark2", "hive"),
    *("doris", "starrocks"),
)
_NO_NAMES_IN_GROUP = ("tsql", "fabric", "oracle", "presto", "trino", "athena", "teradata")
_LEAVE_NULL_OUT = (
    *("postgres", "redshift", "materialize", "risingwave", "tsql", "fabric"),
    *("spark", "spark2", "databricks"),
)
_DATES = (exp.TimeToStr, exp.Date, exp.TsOrDsToTimestamp)


def bare_columns(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Columns beside aggregates that are not grouped by: SQLite takes some row's value."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        places = [item.unalias() for item in select.expressions]
        if group is None and not any(_own_aggregates(place) for place in places):
            continue
        grouped = _grouped(select, group)
        for place in places:
            yield from (c for c in _bare(place) if not _is_grouped(c, place, grouped))


def _own_aggregates(node: exp.Expr) -> bool:
    found = (n for n in node.find_all(exp.AggFunc) if not isinstance(n.parent, exp.Window))
    return any(n.find_ancestor(exp.Select) is node.find_ancestor(exp.Select) for n in found)


def _grouped(select: exp.Select, group: exp.Expr | None) -> set[str]:
    items = select.expressions
    names = {item.alias.lower(): item.unalias() for item in items if item.alias}
    keys: set[str] = set()
    for key in group.expressions if group else ():
        place = int(key.name) - 1 if isinstance(key, exp.Literal) and key.name.isdigit() else -1
        by_name = names.get(key.name.lower()) if isinstance(key, exp.Column) else None
        meant = items[place].unalias() if 0 <= place < len(items) else key
        keys |= {_key(meant), _key(key)} | ({_key(by_name)} if by_name is not None else set())
    return keys


def _bare(place: exp.Expr) -> Iterator[exp.Column]:
    for column in place.find_all(exp.Column):
        inner = column.find_ancestor(exp.AggFunc, exp.Subquery, exp.Window, exp.Select)
        if isinstance(inner, exp.Select) and not isinstance(column.this, exp.Star):
            yield column


def _is_grouped(column: exp.Column, place: exp.Expr, grouped: set[str]) -> bool:
    node: exp.Expr | None = column
    while node is not None:
        if _key(node) in grouped:
            return True
        node = None if node is place else node.parent
    return False


def _key(node: exp.Expr) -> str:
    # Without its table: t.a and a are taken for the same rather than warned about.
    return node.name.lower() if isinstance(node, exp.Column) else node.sql("sqlite").lower()


def choice_at_the_limit(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """LIMIT cuts between rows that the order leaves equal, where no engine promises which."""
    for limit in tree.find_all(exp.Limit):
        query = limit.parent
        order = query.args.get("order") if query is not None else None
        keys = {_key(term.this) for term in order.expressions} if order is not None else set()
        if not keys & _primary_keys(target):
            yield limit


def _primary_keys(target: Target) -> set[str]:
    tables = target.schema.tables if target.schema else ()
    return {t.primary_key[0].lower() for t in tables if len(t.primary_key) == 1}


def names_of_results(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Names given in SELECT that WHERE, HAVING or GROUP BY use, where the dialect forbids it."""
    for select in tree.find_all(exp.Select):
        names = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
        for clause in _clauses_without_names(target.dialect):
            part = select.args.get(clause)
            for column in part.find_all(exp.Column) if part is not None else ():
                if not column.table and column.name.lower() in names and _is_new(column, target):
                    yield column


def _clauses_without_names(dialect: str) -> list[str]:
    clauses = ["where"] if dialect not in _NAMES_IN_WHERE else []
    clauses += ["having"] if dialect not in _NAMES_IN_HAVING else []
    return clauses + (["group"] if dialect in _NO_NAMES_IN_GROUP else [])


def _is_new(column: exp.Column, target: Target) -> bool:
    tables = target.schema.tables if target.schema else ()
    return not any(column.name.lower() == c.name.lower() for t in tables for c in t.columns)


def row_numbers(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """ROWID, OID and _ROWID_."""
    yield from (c for c in tree.find_all(exp.Column) if c.name.lower() in _ROW_NAMES)


def dates_as_texts(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """strftime and date read texts, and give NULL for what is no date."""
    found = (node for node in tree.find_all(*_DATES) if not isinstance(node.parent, _DATES))
    yield from found


def functions_of_its_own(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Functions that sqlglot passes on as they are: julianday, total, printf, ..."""
    yield from tree.find_all(exp.Anonymous)


def functions_of_tables(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """json_each and other functions that stand for a table."""
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            yield table


def least_and_greatest(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """MIN and MAX of several values are NULL in SQLite if one is; some leave NULL out."""
    if target.dialect in _LEAVE_NULL_OUT:
        yield from tree.find_all(exp.Least, exp.Greatest)
