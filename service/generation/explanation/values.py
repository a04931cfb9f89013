"""Values in words: names, literals, arithmetic, text that is joined, CASE, calls and windows."""

from sqlglot import exp

from service.generation.explanation import functions, windows
from service.generation.explanation.conditions import is_condition
from service.generation.explanation.say import Say, has_only, identifier, listed

_SYMBOLS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}
_LOOSE = (exp.Case, exp.If, exp.Coalesce, exp.DPipe, exp.Least, exp.Greatest)
_TIGHT = (exp.Column, exp.Literal, exp.Paren, exp.Null, exp.Boolean, exp.Star, exp.Subquery)


def value(say: Say, node: exp.Expr) -> str:
    """The value in words; what is not understood as SQL between back quotes."""
    if isinstance(node, exp.Column):
        return _column(say, node)
    if isinstance(node, exp.Query | exp.Subquery):
        return say.query(node)
    if is_condition(node):
        return f"whether {say.condition(node)}"
    return _plain(say, node) or _composed(say, node) or say.verbatim(node)


def part(say: Say, node: exp.Expr) -> str:
    """The value, in brackets where its words would run into those around it."""
    is_loose = isinstance(node, _LOOSE) or is_condition(node)
    text = value(say, node)
    return f"({text})" if is_loose else text


def operand(say: Say, node: exp.Expr) -> str:
    """The value, in brackets unless it is one thing."""
    text = value(say, node)
    is_call = isinstance(node, exp.Anonymous) or text.startswith("`")
    is_one = isinstance(node, _TIGHT) and not is_condition(node)
    return text if is_one or is_call else f"({text})"


def _column(say: Say, node: exp.Column) -> str:
    if isinstance(node.this, exp.Star):
        return f"all columns of {say.column(node).removesuffix('.*')}"
    return say.column(node)


def _plain(say: Say, node: exp.Expr) -> str | None:
    if isinstance(node, exp.Literal):
        return str(node.sql("sqlite"))
    if isinstance(node, exp.Null):
        return "NULL"
    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    if isinstance(node, exp.Star):
        return "all columns" if has_only(node) else None
    if isinstance(node, exp.Identifier):
        return identifier(node.name)
    return None


def _composed(say: Say, node: exp.Expr) -> str | None:
    if type(node) in _SYMBOLS:
        return _arithmetic(say, node)
    if isinstance(node, exp.Paren):
        return f"({value(say, node.this)})"
    if isinstance(node, exp.Neg):
        return f"-{operand(say, node.this)}"
    if isinstance(node, exp.DPipe):
        return _texts(say, node)
    if isinstance(node, exp.Alias):
        return f"{part(say, node.this)} (called {identifier(node.alias)})"
    if isinstance(node, exp.Tuple):
        return f"({listed([part(say, item) for item in node.expressions])})"
    if isinstance(node, exp.Collate):
        return f"{operand(say, node.this)} by the rules of {node.expression.name}"
    if isinstance(node, exp.Case | exp.If):
        return _choice(say, node)
    return windows.window(say, node) or functions.function(say, node) or _call(say, node)


def _arithmetic(say: Say, node: exp.Expr) -> str:
    chain = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
    sides = [
        value(say, side) if isinstance(side, chain) else operand(say, side)
        for side in (node.this, node.expression)
    ]
    return f" {_SYMBOLS[type(node)]} ".join(sides)


def _texts(say: Say, node: exp.DPipe) -> str:
    first = node.this.unnest()  # sqlglot puts brackets of its own around a chain's start
    start = _texts(say, first) if isinstance(first, exp.DPipe) else operand(say, node.this)
    return f"{start} followed by {operand(say, node.expression)}"


def _choice(say: Say, node: exp.Expr) -> str:
    subject = node.this if isinstance(node, exp.Case) else None
    branches = node.args.get("ifs") or [node]
    default = node.args.get("default") if isinstance(node, exp.Case) else node.args.get("false")
    said = []
    for branch in branches:
        test = say.condition(branch.this)
        if subject is not None:
            test = f"{part(say, subject)} is {part(say, branch.this)}"
        said.append(f"{part(say, branch.args['true'])} if {test}")
    otherwise = part(say, default) if default is not None else "NULL"
    return f"{', or else '.join(said)}, otherwise {otherwise}"


def _call(say: Say, node: exp.Expr) -> str | None:
    if not isinstance(node, exp.Anonymous) or not isinstance(node.this, str):
        return None
    return f"{node.name}({', '.join(part(say, item) for item in node.expressions)})"
