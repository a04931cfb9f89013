"""Changes of a statement that each change its meaning, one place at a time."""

from collections.abc import Callable, Iterator
from itertools import islice

import sqlglot
from sqlglot import exp

Change = Callable[[exp.Expr], exp.Expr | None]


def mutations(sql: str) -> Iterator[tuple[str, str]]:
    """Pairs of the change's name and the statement with it made at one place."""
    tree = sqlglot.parse_one(sql, read="sqlite")
    places = [n for n, node in enumerate(tree.walk()) if isinstance(node, _CHANGEABLE)]
    for place in places:
        for name, change in CHANGES.items():
            copy = tree.copy()
            node = next(islice(copy.walk(), place, None))
            changed = change(node)
            if changed is not None:
                if changed is not node:
                    node.replace(changed)
                yield name, copy.sql("sqlite")


_CHANGEABLE = (
    *(exp.Binary, exp.Connector, exp.Literal, exp.Predicate, exp.Not, exp.AggFunc),
    *(exp.Ordered, exp.Join, exp.Select, exp.Union),
    *(exp.Where, exp.Having, exp.Group, exp.Order, exp.Limit),
)


def _kinds(swap: dict[type[exp.Expr], type[exp.Expr]]) -> Change:
    def change(node: exp.Expr) -> exp.Expr | None:
        other = swap.get(type(node))
        sides = {name: node.args[name].copy() for name in ("this", "expression") if other}
        return other(**sides) if other else None

    return change


def _direction(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Ordered) or isinstance(node.this, exp.Rand):
        return None
    down = not node.args.get("desc")
    node.set("desc", down)
    node.set("nulls_first", not down)
    return node


def _join_side(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Join) or node.args.get("kind") == "CROSS":
        return None
    node.set("side", None if node.side else "LEFT")
    return node


def _distinct_count(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Count) or isinstance(node.this, exp.Star | exp.Distinct):
        return None
    node.set("this", exp.Distinct(expressions=[node.this.copy()]))
    return node


def _distinct_select(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Select):
        return None
    node.set("distinct", None if node.args.get("distinct") else exp.Distinct())
    return node


def _number(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    return exp.Literal.number(node.name + "7")


def _text(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Literal) or not node.is_string:
        return None
    return exp.Literal.string("x" + node.name)


def _without_not(node: exp.Expr) -> exp.Expr | None:
    return node.this.copy() if isinstance(node, exp.Not) else None


def _with_not(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.In | exp.Between | exp.Is | exp.Exists | exp.Like):
        return None
    if isinstance(node.parent, exp.Not):
        return None
    return exp.Not(this=node.copy())


def _union_all(node: exp.Expr) -> exp.Expr | None:
    if not isinstance(node, exp.Union):
        return None
    node.set("distinct", not node.args.get("distinct"))
    return node


def _no_clause(node: exp.Expr) -> exp.Expr | None:
    clauses = exp.Where | exp.Having | exp.Group | exp.Order | exp.Limit
    if not isinstance(node, clauses) or isinstance(node.parent, exp.Window | exp.Filter):
        return None
    node.parent.set(node.arg_key, None)
    return node


CHANGES: dict[str, Change] = {
    "equal or not": _kinds({exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}),
    "bound included or not": _kinds(
        {exp.LT: exp.LTE, exp.LTE: exp.LT, exp.GT: exp.GTE, exp.GTE: exp.GT}
    ),
    "less or more": _kinds({exp.LT: exp.GT, exp.GT: exp.LT, exp.LTE: exp.GTE, exp.GTE: exp.LTE}),
    "and, or": _kinds({exp.And: exp.Or, exp.Or: exp.And}),
    "operator": _kinds({exp.Add: exp.Sub, exp.Sub: exp.Add, exp.Mul: exp.Div, exp.Div: exp.Mul}),
    "aggregate": lambda n: exp.Max(this=n.this.copy()) if isinstance(n, exp.Min) else None,
    "sum, average": lambda n: exp.Sum(this=n.this.copy()) if isinstance(n, exp.Avg) else None,
    "direction": _direction,
    "inner, left": _join_side,
    "count distinct": _distinct_count,
    "select distinct": _distinct_select,
    "number": _number,
    "text": _text,
    "without NOT": _without_not,
    "with NOT": _with_not,
    "union all": _union_all,
    "clause dropped": _no_clause,
}
