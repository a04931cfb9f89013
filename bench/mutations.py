"""Wrong variants of a query, made by rule: material for bench/coincidence.py.

They mean something else, though some of them may happen to mean the same under the schema's
constraints. What sqlglot cannot read has none.
"""

from sqlglot import exp

from bench.trees import Columns, Found, each_of, made, put, twin_of

_AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max)
_COMPARES = {
    exp.GT: (exp.GTE, exp.LT, exp.EQ),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT, exp.EQ),
    exp.LTE: (exp.LT, exp.GTE),
    exp.EQ: (exp.NEQ, exp.GTE, exp.LTE),
    exp.NEQ: (exp.EQ, exp.GT),
}


def mutants(sql: str, columns: Columns) -> list[tuple[str, str]]:
    """Queries that differ in one place, distinct, none the same text as the query's own."""
    return made(sql, [lambda tree, rule=rule: rule(tree, columns) for rule in _MUTATIONS])


def _is_string(node: exp.Expression, columns: Columns) -> bool:
    """True for 'x', and for "x" where no column has that name."""
    if isinstance(node, exp.Literal):
        return bool(node.is_string)
    if not isinstance(node, exp.Column) or node.table or not node.this.args.get("quoted"):
        return False
    return not any(node.name.lower() in table for table in columns.values())


# -- mutations -----------------------------------------------------------------------------------


def _connectors(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.And, exp.Or):
        for kept in ("this", "expression"):
            other = copy.copy()
            twin = twin_of(other, copy, node)
            yield "drop conjunct", put(other, twin, twin.args[kept].copy())
        swapped = exp.Or if isinstance(node, exp.And) else exp.And
        new = swapped(this=node.this.copy(), expression=node.expression.copy())
        yield "and <-> or", put(copy, node, new)


def _comparisons(tree: exp.Expression, _: Columns) -> Found:
    for kind, others in _COMPARES.items():
        for copy, node in each_of(tree, kind):
            if type(node) is not kind or (kind is exp.EQ and node.find_ancestor(exp.Join)):
                continue
            for other in others:
                twin_tree = copy.copy()
                twin = twin_of(twin_tree, copy, node)
                new = other(this=twin.this.copy(), expression=twin.expression.copy())
                negates = {kind, other} == {exp.EQ, exp.NEQ}
                yield "= <-> <>" if negates else "comparison", put(twin_tree, twin, new)


def _literals(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in each_of(tree, exp.Literal, exp.Column):
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
                twin = twin_of(other, copy, node)
                yield kind, put(other, twin, exp.Literal.string(new))
        elif isinstance(node, exp.Literal) and node.is_number and "." not in node.this:
            for step in (-1, 1, 7):
                other = copy.copy()
                twin = twin_of(other, copy, node)
                new_number = exp.Literal.number(str(int(node.this) + step))
                yield "off by one" if abs(step) == 1 else "number", put(other, twin, new_number)


def _dropped(tree: exp.Expression, _: Columns) -> Found:
    for name in ("distinct", "where", "having", "group", "order", "limit", "offset"):
        for copy, node in each_of(tree, exp.Select):
            if node.args.get(name):
                node.set(name, None)
                if name == "group":
                    node.set("having", None)
                if name == "order" or not (name == "limit" and node.parent):
                    yield f"drop {name}", copy
    for copy, node in each_of(tree, exp.Count, *_AGGREGATES):
        if isinstance(node.this, exp.Distinct):
            node.set("this", node.this.expressions[0].copy())
            yield "drop count distinct", copy


def _added_distinct(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Select):
        if not node.args.get("distinct"):
            node.set("distinct", exp.Distinct())
            yield "add distinct", copy
    for copy, node in each_of(tree, exp.Count):
        if not isinstance(node.this, exp.Star | exp.Distinct | exp.Literal):
            node.set("this", exp.Distinct(expressions=[node.this.copy()]))
            yield "add count distinct", copy


def _joins(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Join):
        if not node.args.get("side") and node.args.get("on"):
            node.set("side", "LEFT")
            yield "left join", copy
        elif node.args.get("side"):
            node.set("side", None)
            yield "inner join", copy
    for copy, node in each_of(tree, exp.Join):
        name = node.alias_or_name.lower()
        select = node.parent
        used = [c for c in select.find_all(exp.Column) if c.table.lower() == name]
        inside = [c for c in node.find_all(exp.Column) if c.table.lower() == name]
        if isinstance(select, exp.Select) and len(used) == len(inside):
            node.pop()
            yield "drop join", copy
    for copy, node in each_of(tree, exp.Join):
        if node.args.get("on") is not None:
            node.set("on", None)
            yield "cross join", copy


def _aggregates(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in each_of(tree, *_AGGREGATES):
        for other in _AGGREGATES:
            if other is not type(node):
                twin_tree = copy.copy()
                twin = twin_of(twin_tree, copy, node)
                yield "aggregate", put(twin_tree, twin, other(this=twin.this.copy()))
        yield "aggregate to count", put(copy, node, exp.Count(this=node.this.copy()))
    for copy, node in each_of(tree, exp.Count):
        if isinstance(node.this, exp.Star):
            for column in _some_columns(copy, columns):
                other_tree = copy.copy()
                twin = twin_of(other_tree, copy, node)
                yield (
                    "count(*) to count(column)",
                    put(other_tree, twin, exp.Count(this=column.copy())),
                )
        elif isinstance(node.this, exp.Column):
            yield "count(column) to count(*)", put(copy, node, exp.Count(this=exp.Star()))


def _some_columns(tree: exp.Expression, columns: Columns) -> list[exp.Column]:
    """Columns of the first table of the query."""
    table = tree.find(exp.Table)
    if table is None or table.name.lower() not in columns:
        return []
    names = list(columns[table.name.lower()])
    return [exp.column(name, table=table.alias_or_name, quoted=True) for name in names[-3:]]


def _swapped_columns(tree: exp.Expression, columns: Columns) -> Found:
    tables = {t.alias_or_name.lower(): t.name.lower() for t in tree.find_all(exp.Table)}
    for copy, node in each_of(tree, exp.Column):
        name = node.name.lower()
        owner = tables.get(node.table.lower()) if node.table else None
        owners = [owner] if owner else [t for t in tables.values() if name in columns.get(t, {})]
        if not owners or owners[0] not in columns or name not in columns[owners[0]]:
            continue
        kind = columns[owners[0]][name]
        others = [n for n, k in columns[owners[0]].items() if k == kind and n != name]
        for new in others[:3]:
            twin_tree = copy.copy()
            twin = twin_of(twin_tree, copy, node)
            twin.set("this", exp.to_identifier(new, quoted=True))
            yield "column", twin_tree


def _sets(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Union):
        node.set("distinct", not node.args.get("distinct"))
        yield "union <-> union all", copy
    for copy, node in each_of(tree, exp.Intersect, exp.Except):
        for other in (exp.Union, exp.Except, exp.Intersect):
            if other is not type(node):
                twin_tree = copy.copy()
                twin = twin_of(twin_tree, copy, node)
                new = other(this=twin.this, expression=twin.expression, distinct=True)
                yield "set operator", put(twin_tree, twin, new)
    for copy, node in each_of(tree, exp.SetOperation):
        yield "drop set operand", put(copy, node, node.this.copy())


def _orders(tree: exp.Expression, _: Columns) -> Found:
    for copy, node in each_of(tree, exp.Ordered):
        node.set("desc", not node.args.get("desc"))
        node.set("nulls_first", not node.args.get("desc"))
        yield "asc <-> desc", copy
    for copy, node in each_of(tree, exp.Limit):
        if isinstance(node.expression, exp.Literal) and node.expression.this.isdigit():
            node.set("expression", exp.Literal.number(str(int(node.expression.this) + 1)))
            yield "limit + 1", copy
    if isinstance(tree, exp.Select) and not tree.args.get("limit"):
        yield "add limit 1", tree.copy().limit(1)  # type: ignore[attr-defined]
        yield "add limit 5", tree.copy().limit(5)  # type: ignore[attr-defined]


def _predicates(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in each_of(tree, exp.Like):
        yield (
            "like to =",
            put(copy, node, exp.EQ(this=node.this.copy(), expression=node.expression.copy())),
        )
    for copy, node in each_of(tree, exp.EQ):
        if _is_string(node.expression, columns):
            pattern = exp.Literal.string(f"%{node.expression.name}%")
            yield "= to like", put(copy, node, exp.Like(this=node.this.copy(), expression=pattern))
    for copy, node in each_of(tree, exp.Not):
        yield "drop not", put(copy, node, node.this.copy())
    for copy, node in each_of(tree, exp.In):
        if len(node.expressions) > 1:
            node.expressions[-1].pop()
            yield "shorter in", copy
    for copy, node in each_of(tree, exp.Between):
        low = exp.GT(this=node.this.copy(), expression=node.args["low"].copy())
        high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
        yield "open between", put(copy, node, exp.paren(exp.and_(low, high)))


def _groups(tree: exp.Expression, columns: Columns) -> Found:
    for copy, node in each_of(tree, exp.Group):
        if len(node.expressions) > 1:
            node.expressions[-1].pop()
            yield "shorter group", copy
    for copy, node in each_of(tree, exp.Select):
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
