"""Tables and joins in words."""

from sqlglot import exp

from service.generation.explanation.say import Say, has_only, identifier, listed


def source(say: Say, node: exp.Expr) -> str:
    """What stands in FROM or behind JOIN: a table, a query in brackets, a function's rows."""
    if isinstance(node, exp.Table):
        return _table(say, node)
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
        return f"({_table(say, node.this)})"
    if isinstance(node, exp.Subquery) and has_only(node, "this", "alias"):
        called = _called(node)
        return f"{say.query(node.this)}{called}"
    return say.verbatim(node)


def _table(say: Say, node: exp.Table) -> str:
    if not has_only(node, "this", "alias", "db", "catalog", "joins", "indexed"):
        return say.verbatim(node)
    if isinstance(node.this, exp.Identifier):
        name = ".".join(identifier(part.name) for part in node.parts)
    else:
        name = f"the rows of {say.value(node.this)}"
    shown = say.table(node.alias) if node.alias else node.name
    called = f" as {identifier(node.alias)}" if shown != node.name else ""
    joins = [joined(say, join) for join in node.args.get("joins") or []]
    return "; ".join([name + called, *joins])


def _called(node: exp.Expr) -> str:
    columns = [identifier(c.name) for c in node.args["alias"].columns] if node.alias else []
    named = f" with the columns named {listed(columns)}" if columns else ""
    return f" as {identifier(node.alias)}{named}" if node.alias else ""


def joined(say: Say, join: exp.Join) -> str:
    """`joins orders where orders.customer_id equals customer.id`."""
    if not has_only(join, "this", "on", "using", "side", "kind", "method"):
        return say.verbatim(join)
    other = source(say, join.this)
    on, using = join.args.get("on"), join.args.get("using")
    side, natural = join.side.upper(), join.method.upper() == "NATURAL"
    verb = f"{side.lower()} joins" if side else "joins"
    if isinstance(on, exp.Boolean) and on.this:
        on = None  # sqlglot's own, where there is none in the SQL
    if on is None and not using and not natural:
        return f"{verb} every row with every row of {other}{_kept(side)}"
    if natural:
        said = "on all columns that have the same name in both"
    elif using:
        said = f"where both have the same {listed([identifier(name.name) for name in using])}"
    else:
        said = f"where {say.condition(join.args['on'])}"
    return f"{verb} {other} {said}{_kept(side)}"


def _kept(side: str) -> str:
    kept = {
        "LEFT": ", keeping the rows before it that have no match",
        "RIGHT": ", keeping its rows that have no match",
        "FULL": ", keeping the rows of both sides that have no match",
    }
    return kept.get(side, "")
