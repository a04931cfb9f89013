"""Rewritings of a query that mean the same on every database that keeps the declared constraints.

Made by rule: material for bench/coincidence.py. What sqlglot cannot read has none.
"""

from sqlglot import exp

from bench.trees import Columns, Found, each_of, made, put


def rewritings(sql: str, columns: Columns) -> list[tuple[str, str]]:
    """Queries that mean the same."""
    return made(sql, [lambda tree, rule=rule: rule(tree, columns) for rule in _REWRITINGS])


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
        for copy, node in each_of(tree, kind):
            new = other(this=node.expression.copy(), expression=node.this.copy())
            if not (_affine(node.this) and _affine(node.expression)):
                yield "flipped comparison", put(copy, node, new)
    for copy, node in each_of(tree, exp.And, exp.Or):
        new = type(node)(this=node.expression.copy(), expression=node.this.copy())
        yield "swapped and/or", put(copy, node, exp.paren(new))


def _affine(node: exp.Expression) -> bool:
    # The collation of the left column decides; the affinities count on both sides alike.
    return isinstance(node, exp.Column)


def _between(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Between):
        low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
        high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
        yield "between to >= <=", put(copy, node, exp.paren(exp.and_(low, high)))
    for copy, node in each_of(tree, exp.In):
        if node.expressions and not node.args.get("query"):
            parts = [
                exp.EQ(this=node.this.copy(), expression=each.copy()) for each in node.expressions
            ]
            yield "in to or", put(copy, node, exp.paren(exp.or_(*parts)))
    for copy, node in each_of(tree, exp.EQ):
        if isinstance(node.expression, exp.Literal) and isinstance(node.this, exp.Column):
            new = exp.In(this=node.this.copy(), expressions=[node.expression.copy()])
            yield "= to in", put(copy, node, new)
    for copy, node in each_of(tree, exp.NEQ):
        new_node = exp.Not(
            this=exp.paren(exp.EQ(this=node.this.copy(), expression=node.expression.copy()))
        )
        yield "<> to not =", put(copy, node, new_node)


def _redundant(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Where):
        node.set("this", exp.and_(exp.paren(node.this.copy()), exp.EQ(this="1", expression="1")))
        yield "and 1 = 1", copy
    for copy, node in each_of(tree, exp.Where):
        double = exp.Not(this=exp.paren(exp.Not(this=exp.paren(node.this.copy()))))
        node.set("this", double)
        yield "not not", copy
    for copy, node in each_of(tree, exp.Or):
        left = exp.Not(this=exp.paren(node.this.copy()))
        right = exp.Not(this=exp.paren(node.expression.copy()))
        yield (
            "de morgan",
            put(copy, node, exp.paren(exp.Not(this=exp.paren(exp.and_(left, right))))),
        )


def _counts(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            yield "count(1)", put(copy, node, exp.Count(this=exp.Literal.number(1)))
    for copy, node in each_of(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            ones = exp.Case(ifs=[exp.If(this=exp.true(), true=exp.Literal.number(1))])
            yield "count(case)", put(copy, node, exp.Count(this=ones))


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
    for copy, node in each_of(tree, exp.Select):
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
    for copy, node in each_of(tree, exp.Select):
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
    for copy, node in each_of(tree, exp.Ordered):
        select = node.find_ancestor(exp.Select)
        outputs = [each.unalias() for each in copy.expressions]  # type: ignore[attr-defined]
        if select is copy and node.this in outputs:
            number = exp.Literal.number(outputs.index(node.this) + 1)
            node.set("this", number)
            yield "order by position", copy


def _exists(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.In):
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
            yield "in to exists", put(copy, node, exp.Exists(this=inner))


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
