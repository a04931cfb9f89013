"""How much a query grows when sqlglot's qualify writes out its stars and its own column names."""

from sqlglot import exp

from service.text2sql.schema import Schema

MAX_WIDTH = 6_000
"""Tables in the query times columns of the widest table, where stars have to be written out."""
MAX_GROWTH = 20_000
"""Nodes that replace names of computed columns, in all."""


def grows_too_much(tree: exp.Query, schema: Schema) -> bool:
    """Whether qualifying would need seconds: too many stars, or names that stand for much."""
    if _opens_stars(tree) and _width(tree, schema) > MAX_WIDTH:
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


def _opens_stars(tree: exp.Query) -> bool:
    stars = any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))
    return stars or any(join.method for join in tree.find_all(exp.Join))


def _width(tree: exp.Query, schema: Schema) -> int:
    widest = max((len(table.columns) for table in schema.tables), default=0)
    return widest * sum(1 for _ in tree.find_all(exp.Table))


def _growth(select: exp.Select) -> int:
    sizes = {
        item.alias.lower(): sum(1 for _ in item.walk())
        for item in select.expressions
        if isinstance(item, exp.Alias)
    }
    if not sizes:
        return 0
    names = (column.name.lower() for column in select.find_all(exp.Column) if not column.table)
    return sum(sizes.get(name, 0) for name in names)
