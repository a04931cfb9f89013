"""A query as its clauses: what it lists, from where, which rows, grouped and sorted how."""

from collections.abc import Iterator

from sqlglot import exp

from service.generation.explanation.say import Say, has_only, identifier, listed
from service.generation.explanation.tables import joined, source

_KNOWN = {
    *("with_", "expressions", "distinct", "from_", "joins", "where", "group", "having"),
    *("windows", "order", "limit", "offset", "hint"),
}
_OPERATIONS = {
    exp.Union: "the rows of the first query and of the second",
    exp.Intersect: "the rows that are in both the first and the second query",
    exp.Except: "the rows of the first query that are not in the second",
}


def clauses(say: Say, node: exp.Expr) -> list[str]:
    """The clauses in reading order; the first is a noun phrase without its verb."""
    said = list(_body(say, node))
    with_ = node.args.get("with_")
    return said + (_common(say, with_) if with_ is not None else [])


def _body(say: Say, node: exp.Expr) -> Iterator[str]:
    if isinstance(node, exp.Select):
        yield from _select(say, node)
    elif isinstance(node, exp.SetOperation) and type(node) in _OPERATIONS:
        yield from _operation(say, node)
    elif isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
        yield say.query(node.this)
    else:
        yield say.verbatim(node)
        return
    yield from _tail(say, node)


def _select(say: Say, node: exp.Select) -> Iterator[str]:
    yield _listing(say, node)
    for join in node.args.get("joins") or []:
        yield joined(say, join)
    where, group, having = (node.args.get(name) for name in ("where", "group", "having"))
    if where is not None:
        yield f"keeps rows where {say.condition(where.this)}"
    if group is not None:
        yield _grouping(say, group)
    if having is not None:
        yield f"keeps groups where {say.condition(having.this)}"
    for window in node.args.get("windows") or []:
        yield f"names a window {say.verbatim(window)}"
    for name, part in node.args.items():
        if part and name not in _KNOWN:
            yield f"also {say.verbatim(part) if isinstance(part, exp.Expr) else name}"


def _listing(say: Say, node: exp.Select) -> str:
    items = [say.part(item) for item in node.expressions]
    what = listed(items)
    if node.args.get("distinct") is not None:
        one = len(items) == 1 and not node.is_star
        what = f"the different {'values' if one else 'combinations'} of {what}"
    start = node.args.get("from_")
    if start is None:
        return what
    plain = all(isinstance(item, exp.Column | exp.Star) for item in node.expressions)
    plain = plain and not any(isinstance(item.this, exp.Star) for item in node.expressions)
    of = "of" if plain and not node.args.get("joins") else "from"
    return f"{what} {of} {source(say, start.this)}"


def _grouping(say: Say, group: exp.Group) -> str:
    if not has_only(group, "expressions"):
        return f"groups by {say.verbatim(group)}"
    return f"groups by {listed([_place(say, item) for item in group.expressions])}"


def _place(say: Say, node: exp.Expr) -> str:
    # A whole number in GROUP BY or ORDER BY is a column's place.
    is_place = isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit()
    return f"column {node.name}" if is_place else say.part(node)


def _operation(say: Say, node: exp.SetOperation) -> Iterator[str]:
    keeps = "without repeats" if node.args.get("distinct") else "with repeats"
    yield f"{_OPERATIONS[type(node)]}, {keeps}"
    yield f"the first query is {say.query(node.this)}"
    yield f"the second query is {say.query(node.expression)}"
    for name, part in node.args.items():
        if part and name not in {*_KNOWN, "this", "expression"}:
            yield f"also {say.verbatim(part) if isinstance(part, exp.Expr) else name}"


def _tail(say: Say, node: exp.Expr) -> Iterator[str]:
    order, limit, offset = (node.args.get(name) for name in ("order", "limit", "offset"))
    if order is not None:
        yield f"sorted by {say.order(order)}"
    if offset is not None:
        yield f"skips the first {say.part(offset.expression)} rows"
    if limit is not None:
        yield _limit(say, limit)


def _limit(say: Say, limit: exp.Expr) -> str:
    number = limit.expression
    if not isinstance(limit, exp.Limit) or not has_only(limit, "expression"):
        return f"limited by {say.verbatim(limit)}"
    if not isinstance(number, exp.Literal):  # a negative one is no limit at all
        return f"limited by the number {say.part(number)}"
    return f"at most {number.name} row{'' if number.name == '1' else 's'}"


def order_terms(say: Say, order: exp.Expr) -> str:
    """`age, highest first, then name, lowest first`."""
    return ", then ".join(_term(say, term) for term in order.expressions)


def _term(say: Say, term: exp.Expr) -> str:
    if not isinstance(term, exp.Ordered):
        return say.verbatim(term)
    if isinstance(term.this, exp.Rand):
        return "a random number"
    down = bool(term.args.get("desc"))
    nulls_first = bool(term.args.get("nulls_first"))
    said = f"{_place(say, term.this)}, {'highest' if down else 'lowest'} first"
    if nulls_first == down:  # SQLite's own is the other way round
        said += f" and missing values {'first' if nulls_first else 'last'}"
    return said


def _common(say: Say, with_: exp.Expr) -> list[str]:
    again = " (which may refer to itself)" if with_.args.get("recursive") else ""
    said = []
    for part in with_.expressions:
        columns = [identifier(column.name) for column in part.args["alias"].columns]
        named = f" with the columns named {listed(columns)}" if columns else ""
        said.append(f"here {identifier(part.alias)}{named}{again} is {say.query(part.this)}")
    return said
