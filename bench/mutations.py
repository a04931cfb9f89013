"""Wrong variants and equal rewritings of a query, made by rule: material for bench/coincidence.py.

`mutants` are queries that mean something else (some of them may happen to mean the same under the
schema's constraints); `rewritings` mean the same on every database that keeps the declared
constraints. Both are lists of (kind, SQL); what sqlglot cannot read gives none.
"""

from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp

Columns = dict[str, dict[str, str]]
"""Affinity by column by table, names in lower case."""
Found = Iterator[tuple[str, exp.Expression]]

_AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max)
_COMPARES = {
    exp.GT: (exp.GTE, exp.LT, exp.EQ),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT, exp.EQ),
    exp.LTE: (exp.LT, exp.GTE),
    exp.EQ: (exp.NEQ, exp.GTE, exp.LTE),
    exp.NEQ: (exp.EQ, exp.GT),
}
_MOST_PER_KIND = 4


def mutants(sql: str, columns: Columns) -> list[tuple[str, str]]:
    """Queries that differ in one place, distinct, none the same text as the query's own."""
    return _made(sql, [lambda tree, rule=rule: rule(tree, columns) for rule in _MUTATIONS])


def rewritings(sql: str, columns: Columns) -> list[tuple[str, str]]:
    """Queries that mean the same."""
    return _made(sql, [lambda tree, rule=rule: rule(tree, columns) for rule in _REWRITINGS])


def _made(sql: str, rules: list[Callable[[exp.Expression], Found]]) -> list[tuple[str, str]]:
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    found: dict[str, str] = {}
    own = tree.sql("sqlite")
    for rule in rules:
        count: dict[str, int] = {}
        for kind, other in rule(tree):
            text = other.sql("sqlite")
            if text != own and text not in found and count.get(kind, 0) < _MOST_PER_KIND:
                found[text] = kind
                count[kind] = count.get(kind, 0) + 1
    return [(kind, text) for text, kind in found.items()]


def _each(tree: exp.Expression, *kinds: Any) -> Iterator[tuple[exp.Expression, Any]]:
    """For each node of these kinds a copy of the tree and that node in it."""
    for place in range(sum(1 for _ in tree.find_all(*kinds))):
        copy = tree.copy()
        yield copy, list(copy.find_all(*kinds))[place]


def _put(copy: exp.Expression, node: exp.Expression, new: exp.Expression) -> exp.Expression:
    if node is copy:
        return new
    node.replace(new)
    return copy


def _is_string(node: exp.Expression, columns: Columns) -> bool:
    """True for 'x', and for "x" where no column has that name."""
    if isinstance(node, exp.Literal):
        return bool(node.is_string)
    if not isinstance(node, exp.Column) or node.table or not node.this.args.get("quoted"):
        return False
    return not any(node.name.lower() in table for table in columns.values())


# -- mutations -----------------------------------------------------------------------------------


def _connectors(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.And, exp.Or):
        for kept in ("this", "expression"):
            other = copy.copy()
            twin = _twin(other, copy, node)
            yield "drop conjunct", _put(other, twin, twin.args[kept].copy())
        swapped = exp.Or if isinstance(node, exp.And) else exp.And
        new = swapped(this=node.this.copy(), expression=node.expression.copy())
        yield "and <-> or", _put(copy, node, new)


def _twin(other: exp.Expression, copy: exp.Expression, node: exp.Expression) -> exp.Expression:
    place = next(n for n, each in enumerate(copy.walk()) if each is node)
    return list(other.walk())[place]


def _comparisons(tree: exp.Expression, _: Columns) -> Found:
    for kind, others in _COMPARES.items():
        for copy, node in _each(tree, kind):
            if type(node) is not kind or (kind is exp.EQ and node.find_ancestor(exp.Join)):
                continue
            for other in others:
                twin_tree = copy.copy()
                twin = _twin(twin_tree, copy, node)
                new = other(this=twin.this.copy(), expression=twin.expression.copy())
                negates = {kind, other} == {exp.EQ, exp.NEQ}
                yield "= <-> <>" if negates else "comparison", _put(twin_tree, twin, new)


def _literals(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in _each(tree, exp.Literal, exp.Column):
        if node.find_ancestor(exp.Limit, exp.Offset) or isinstance(node.parent, exp.Ordered):
            continue
        if _is_string(node, columns):
            text = node.name
            for kind, new in (
                ("text case", text.swapcase()),
                ("text cut", text[:-1]),
                ("text longer", f"{text}s"),
                ("text longer", f"{text} "),
            ):
                other = copy.copy()
                twin = _twin(other, copy, node)
                yield kind, _put(other, twin, exp.Literal.string(new))
        elif isinstance(node, exp.Literal) and node.is_number and "." not in node.this:
            for step in (-1, 1, 7):
                other = copy.copy()
                twin = _twin(other, copy, node)
                new_number = exp.Literal.number(str(int(node.this) + step))
                yield "off by one" if abs(step) == 1 else "number", _put(other, twin, new_number)


def _dropped(tree: exp.Expression, _: Columns) -> Found:
    for name in ("distinct", "where", "having", "group", "order", "limit", "offset"):
        for copy, node in _each(tree, exp.Select):
            if node.args.get(name):
                node.set(name, None)
                if name == "group":
                    node.set("having", None)
                if name == "order" or not (name == "limit" and node.parent):
                    yield f"drop {name}", copy
    for copy, node in _each(tree, exp.Count, *_AGGREGATES):
        if isinstance(node.this, exp.Distinct):
            node.set("this", node.this.expressions[0].copy())
            yield "drop count distinct", copy


def _added_distinct(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Select):
        if not node.args.get("distinct"):
            node.set("distinct", exp.Distinct())
            yield "add distinct", copy
    for copy, node in _each(tree, exp.Count):
        if not isinstance(node.this, exp.Star | exp.Distinct | exp.Literal):
            node.set("this", exp.Distinct(expressions=[node.this.copy()]))
            yield "add count distinct", copy


def _joins(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Join):
        if not node.args.get("side") and node.args.get("on"):
            node.set("side", "LEFT")
            yield "left join", copy
        elif node.args.get("side"):
            node.set("side", None)
            yield "inner join", copy
    for copy, node in _each(tree, exp.Join):
        name = node.alias_or_name.lower()
        select = node.parent
        used = [c for c in select.find_all(exp.Column) if c.table.lower() == name]
        inside = [c for c in node.find_all(exp.Column) if c.table.lower() == name]
        if isinstance(select, exp.Select) and len(used) == len(inside):
            node.pop()
            yield "drop join", copy
    for copy, node in _each(tree, exp.Join):
        if node.args.get("on") is not None:
            node.set("on", None)
            yield "cross join", copy


def _aggregates(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in _each(tree, *_AGGREGATES):
        for other in _AGGREGATES:
            if other is not type(node):
                twin_tree = copy.copy()
                twin = _twin(twin_tree, copy, node)
                yield "aggregate", _put(twin_tree, twin, other(this=twin.this.copy()))
        yield "aggregate to count", _put(copy, node, exp.Count(this=node.this.copy()))
    for copy, node in _each(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            for column in _some_columns(copy, columns):
                other_tree = copy.copy()
                twin = _twin(other_tree, copy, node)
                yield (
                    "count(*) to count(column)",
                    _put(other_tree, twin, exp.Count(this=column.copy())),
                )
        elif isinstance(node.this, exp.Column):
            yield "count(column) to count(*)", _put(copy, node, exp.Count(this=exp.Star()))


def _some_columns(tree: exp.Expression, columns: Columns) -> list[exp.Column]:
    """Columns of the first table of the query."""
    table = tree.find(exp.Table)
    if table is None or table.name.lower() not in columns:
        return []
    names = list(columns[table.name.lower()])
    return [exp.column(name, table=table.alias_or_name, quoted=True) for name in names[-3:]]


def _swapped_columns(tree: exp.Expression, columns: Columns) -> Found:
    tables = {t.alias_or_name.lower(): t.name.lower() for t in tree.find_all(exp.Table)}
    for copy, node in _each(tree, exp.Column):
        name = node.name.lower()
        owner = tables.get(node.table.lower()) if node.table else None
        owners = [owner] if owner else [t for t in tables.values() if name in columns.get(t, {})]
        if not owners or owners[0] not in columns or name not in columns[owners[0]]:
            continue
        kind = columns[owners[0]][name]
        others = [n for n, k in columns[owners[0]].items() if k == kind and n != name]
        for new in others[:3]:
            twin_tree = copy.copy()
            twin = _twin(twin_tree, copy, node)
            twin.set("this", exp.to_identifier(new, quoted=True))
            yield "column", twin_tree


def _sets(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Union):
        node.set("distinct", not node.args.get("distinct"))
        yield "union <-> union all", copy
    for copy, node in _each(tree, exp.Intersect, exp.Except):
        for other in (exp.Union, exp.Except, exp.Intersect):
            if other is not type(node):
                twin_tree = copy.copy()
                twin = _twin(twin_tree, copy, node)
                new = other(this=twin.this, expression=twin.expression, distinct=True)
                yield "set operator", _put(twin_tree, twin, new)
    for copy, node in _each(tree, exp.SetOperation):
        yield "drop set operand", _put(copy, node, node.this.copy())


def _orders(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Ordered):
        node.set("desc", not node.args.get("desc"))
        node.set("nulls_first", not node.args.get("desc"))
        yield "asc <-> desc", copy
    for copy, node in _each(tree, exp.Limit):
        if isinstance(node.expression, exp.Literal) and node.expression.this.isdigit():
            node.set("expression", exp.Literal.number(str(int(node.expression.this) + 1)))
            yield "limit + 1", copy
    if isinstance(tree, exp.Select) and not tree.args.get("limit"):
        yield "add limit 1", tree.copy().limit(1)  # type: ignore[attr-defined]
        yield "add limit 5", tree.copy().limit(5)  # type: ignore[attr-defined]


def _predicates(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in _each(tree, exp.Like):
        yield (
            "like to =",
            _put(copy, node, exp.EQ(this=node.this.copy(), expression=node.expression.copy())),
        )
    for copy, node in _each(tree, exp.EQ):
        if _is_string(node.expression, columns):
            pattern = exp.Literal.string(f"%{node.expression.name}%")
            yield "= to like", _put(copy, node, exp.Like(this=node.this.copy(), expression=pattern))
    for copy, node in _each(tree, exp.Not):
        yield "drop not", _put(copy, node, node.this.copy())
    for copy, node in _each(tree, exp.In):
        if len(node.expressions) > 1:
            node.expressions[-1].pop()
            yield "shorter in", copy
    for copy, node in _each(tree, exp.Between):
        low = exp.GT(this=node.this.copy(), expression=node.args["low"].copy())
        high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
        yield "open between", _put(copy, node, exp.paren(exp.and_(low, high)))


def _groups(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in _each(tree, exp.Group):
        if len(node.expressions) > 1:
            node.expressions[-1].pop()
            yield "shorter group", copy
    for copy, node in _each(tree, exp.Select):
        outputs = [each.unalias() for each in node.expressions]
        plain = [each for each in outputs if isinstance(each, exp.Column)]
        group = node.args.get("group")
        if group and plain and plain[0] not in group.expressions:
            group.set("expressions", [plain[0].copy()])
            yield "group by output", copy


_MUTATIONS = (
    _connectors,
    _comparisons,
    _literals,
    _dropped,
    _added_distinct,
    _joins,
    _aggregates,
    _swapped_columns,
    _sets,
    _orders,
    _predicates,
    _groups,
)


# -- rewritings ----------------------------------------------------------------------------------


def _wrapped(tree: exp.Expression, _: Columns) -> Found:
    if not tree.args.get("order") and not tree.args.get("limit"):
        inner = tree.copy().subquery("wrapped")  # type: ignore[attr-defined]
        yield "subquery", exp.select("*").from_(inner)
        yield "cte", exp.select("*").from_("c").with_("c", as_=tree.copy())
        if isinstance(tree, exp.Select) and tree.args.get("distinct"):
            yield "union self", exp.union(tree.copy(), tree.copy(), distinct=True)


def _commuted(tree: exp.Expression, _: Columns) -> Found:
    flips = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE, exp.EQ: exp.EQ}
    for kind, other in flips.items():
        for copy, node in _each(tree, kind):
            new = other(this=node.expression.copy(), expression=node.this.copy())
            if not (_affine(node.this) and _affine(node.expression)):
                yield "flipped comparison", _put(copy, node, new)
    for copy, node in _each(tree, exp.And, exp.Or):
        new = type(node)(this=node.expression.copy(), expression=node.this.copy())
        yield "swapped and/or", _put(copy, node, exp.paren(new))


def _affine(node: exp.Expression) -> bool:
    # The collation of the left column decides; the affinities count on both sides alike.
    return isinstance(node, exp.Column)


def _between(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Between):
        low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
        high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
        yield "between to >= <=", _put(copy, node, exp.paren(exp.and_(low, high)))
    for copy, node in _each(tree, exp.In):
        if node.expressions and not node.args.get("query"):
            parts = [
                exp.EQ(this=node.this.copy(), expression=each.copy()) for each in node.expressions
            ]
            yield "in to or", _put(copy, node, exp.paren(exp.or_(*parts)))
    for copy, node in _each(tree, exp.EQ):
        if isinstance(node.expression, exp.Literal) and isinstance(node.this, exp.Column):
            new = exp.In(this=node.this.copy(), expressions=[node.expression.copy()])
            yield "= to in", _put(copy, node, new)
    for copy, node in _each(tree, exp.NEQ):
        new_node = exp.Not(
            this=exp.paren(exp.EQ(this=node.this.copy(), expression=node.expression.copy()))
        )
        yield "<> to not =", _put(copy, node, new_node)


def _redundant(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Where):
        node.set("this", exp.and_(exp.paren(node.this.copy()), exp.EQ(this="1", expression="1")))
        yield "and 1 = 1", copy
    for copy, node in _each(tree, exp.Where):
        double = exp.Not(this=exp.paren(exp.Not(this=exp.paren(node.this.copy()))))
        node.set("this", double)
        yield "not not", copy
    for copy, node in _each(tree, exp.Or):
        left = exp.Not(this=exp.paren(node.this.copy()))
        right = exp.Not(this=exp.paren(node.expression.copy()))
        yield (
            "de morgan",
            _put(copy, node, exp.paren(exp.Not(this=exp.paren(exp.and_(left, right))))),
        )


def _counts(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            yield "count(1)", _put(copy, node, exp.Count(this=exp.Literal.number(1)))
    for copy, node in _each(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            ones = exp.Case(ifs=[exp.If(this=exp.true(), true=exp.Literal.number(1))])
            yield "count(case)", _put(copy, node, exp.Count(this=ones))


def _distinct_group(tree: exp.Expression, _: Columns) -> Found:
    plain = isinstance(tree, exp.Select) and all(
        isinstance(each, exp.Column) for each in tree.expressions
    )
    if plain and tree.args.get("distinct") and not tree.args.get("group"):
        copy = tree.copy()
        copy.set("distinct", None)
        copy.set("group", exp.Group(expressions=[each.copy() for each in tree.expressions]))
        yield "distinct to group by", copy


def _join_forms(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.Select):
        joins = node.args.get("joins") or []
        source = node.args.get("from_") or node.args.get("from")
        stars = any(each.find(exp.Star) and not each.find(exp.Count) for each in node.expressions)
        inner = all(not j.args.get("side") and j.args.get("on") is not None for j in joins)
        if not joins or not inner or source is None or stars:
            continue
        ons = [j.args["on"].copy() for j in joins]
        for join in joins:
            join.set("on", None)
            join.set("kind", None)
        where = node.args.get("where")
        ons += [exp.paren(where.this.copy())] if where else []
        node.set("where", exp.Where(this=exp.and_(*ons)))
        yield "comma join", copy
    for copy, node in _each(tree, exp.Select):
        joins = node.args.get("joins") or []
        source = node.args.get("from_") or node.args.get("from")
        stars = any(each.find(exp.Star) and not each.find(exp.Count) for each in node.expressions)
        if len(joins) == 1 and source is not None and not stars and not joins[0].args.get("side"):
            first, second = source.this.copy(), joins[0].this.copy()
            source.set("this", second)
            joins[0].set("this", first)
            yield "swapped join", copy


def _positions(tree: exp.Expression, _: Columns) -> Found:
    if not isinstance(tree, exp.Select):
        return
    for copy, node in _each(tree, exp.Ordered):
        select = node.find_ancestor(exp.Select)
        outputs = [each.unalias() for each in copy.expressions]  # type: ignore[attr-defined]
        if select is copy and node.this in outputs:
            number = exp.Literal.number(outputs.index(node.this) + 1)
            node.set("this", number)
            yield "order by position", copy


def _exists(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in _each(tree, exp.In):
        query = node.args.get("query")
        select = query.this if query is not None else None
        simple = (
            isinstance(select, exp.Select)
            and len(select.expressions) == 1
            and not select.args.get("group")
            and not select.args.get("limit")
            and not isinstance(node.parent, exp.Not)
            and isinstance(node.this, exp.Column)
            and node.this.table
        )
        if simple and isinstance(select, exp.Select):
            tables = {t.alias_or_name.lower() for t in select.find_all(exp.Table)}
            if node.this.table.lower() in tables or select.expressions[0].find(exp.AggFunc):
                continue
            inner = select.copy()
            output = inner.expressions[0].unalias()
            inner = inner.where(exp.EQ(this=output.copy(), expression=node.this.copy()))
            inner.set("expressions", [exp.Literal.number(1)])
            yield "in to exists", _put(copy, node, exp.Exists(this=inner))


_REWRITINGS = (
    _wrapped,
    _commuted,
    _between,
    _redundant,
    _counts,
    _distinct_group,
    _join_forms,
    _positions,
    _exists,
)
