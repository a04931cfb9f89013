"""How much work a query makes for sqlglot's qualify: what grows in it, and how deep it is.

A query at these bounds takes it some 0.15 s; beyond them it would be seconds.
"""

from collections.abc import Iterator

from sqlglot import exp

from service.generation.quoting import sources
from service.text2sql.schema import Schema

MAX_WIDTH = 4_000
"""Stars to be written out, times what stands in their FROM, times columns of the widest of it."""
MAX_MERGED = 2_000
"""Columns that USING and NATURAL merge (for NATURAL all of the widest table) and names of columns
without a table, each of which may become one of every table: those times tables."""
MAX_GROWTH = 15_000
"""Nodes that replace names and numbers of computed columns, in all."""
MAX_STEPS = 300_000
"""Nodes of the tree, each times its depth and the queries that it stands in: a chain of ORs is as
deep as it is long, and each query walks through those inside it."""


def grows_too_much(tree: exp.Query, schema: Schema) -> bool:
    """Whether qualifying would need seconds: chains, stars, merged columns, names for much."""
    if _is_too_deep(tree) or _written_out(tree, schema) > MAX_WIDTH:
        return True
    if _merged(tree, schema) > MAX_MERGED:
        return True
    return sum(_growth(select) for select in tree.find_all(exp.Select)) > MAX_GROWTH


def has_names_within_names(tree: exp.Query) -> bool:
    """Whether a result's column is computed from the name of another, which SQLite does not do.

    sqlglot would; and each such step may double the query.
    """
    for select in tree.find_all(exp.Select):
        names = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
        for item in select.expressions:
            inner = item.unalias()
            used = {c.name.lower() for c in inner.find_all(exp.Column) if not c.table}
            own = {item.alias.lower()} if isinstance(inner, exp.Column) else set()
            if used & (names - own):
                return True
    return False


def _is_too_deep(tree: exp.Query) -> bool:
    steps = 0
    waiting: list[tuple[exp.Expr, int, int]] = [(tree, 1, 0)]
    while waiting and steps <= MAX_STEPS:
        node, depth, around = waiting.pop()
        queries = around + isinstance(node, exp.Select)
        steps += depth * max(queries, 1)
        waiting += ((part, depth + 1, queries) for part in node.iter_expressions())
    return steps > MAX_STEPS


def _written_out(tree: exp.Query, schema: Schema) -> int:
    selects = list(tree.find_all(exp.Select))
    widest = max(_widest(schema), *(len(select.expressions) for select in selects), 1)
    return widest * sum(_stars(select) * len(list(sources(select))) for select in selects)


def _stars(select: exp.Select) -> int:
    return sum(1 for item in select.expressions if item.is_star)


def _merged(tree: exp.Query, schema: Schema) -> int:
    joins = list(tree.find_all(exp.Join))
    natural = sum(1 for join in joins if join.method)
    named = sum(len(join.args.get("using") or ()) for join in joins)
    if not natural and not named:
        return 0
    names = sum(1 for column in tree.find_all(exp.Column) if not column.table)
    return (natural * _widest(schema) + named + names) * _tables(tree)


def _tables(tree: exp.Query) -> int:
    return sum(1 for _ in tree.find_all(exp.Table))


def _widest(schema: Schema) -> int:
    return max((len(table.columns) for table in schema.tables), default=0)


def _growth(select: exp.Select) -> int:
    sizes = [sum(1 for _ in item.walk()) for item in select.expressions]
    named = {
        item.alias.lower(): size
        for item, size in zip(select.expressions, sizes, strict=True)
        if isinstance(item, exp.Alias)
    }
    names = (column.name.lower() for column in select.find_all(exp.Column) if not column.table)
    return sum(named.get(name, 0) for name in names) + sum(_numbered(select, sizes))


def _numbered(select: exp.Select, sizes: list[int]) -> Iterator[int]:
    """GROUP BY 1 and ORDER BY 1 stand for the first column of the result."""
    for name in ("group", "order"):
        for term in select.args[name].expressions if select.args.get(name) else ():
            number = term.this if isinstance(term, exp.Ordered) else term
            if isinstance(number, exp.Literal) and number.is_int:
                yield sum(sizes[int(number.name) - 1 : int(number.name)])
