"""Numbers: division, truth as a number, averages, comparisons with text, casts."""

from collections.abc import Iterator

from sqlglot import exp

from service.generation.portability.target import Target

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Sum, exp.Avg)
_TRUTHS = (*_COMPARISONS, exp.In, exp.Like, exp.Between, exp.Is, exp.And, exp.Or, exp.Not)
_CONDITIONS = (exp.Where, exp.Having, exp.And, exp.Or, exp.Not)
_VALUES = (exp.Column, exp.Literal, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.AggFunc)


def integer_division(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Divisions that may be of two integers, where the dialect does not cut the fraction off."""
    if target.divides_integers:
        return
    for division in tree.find_all(exp.Div):
        if not any(_is_real(side) for side in (division.this, division.expression)):
            yield division


def _is_real(node: exp.Expr) -> bool:
    inner = node.unnest()
    if isinstance(inner, exp.Literal):
        return not inner.is_string and not inner.name.isdigit()
    if isinstance(inner, exp.Cast):
        return inner.to.is_type(*exp.DataType.REAL_TYPES)
    if isinstance(inner, exp.Avg | exp.Round):
        return True
    if isinstance(inner, exp.Add | exp.Sub | exp.Mul | exp.Div):
        return _is_real(inner.this) or _is_real(inner.expression)
    return isinstance(inner, exp.Sum) and _is_real(inner.this)


def truth_as_number(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Conditions that are added up or compared, and numbers that stand for conditions."""
    for truth in tree.find_all(*_TRUTHS):
        outer = truth.parent
        while isinstance(outer, exp.Paren):
            outer = outer.parent
        if isinstance(outer, _ARITHMETIC):
            yield truth
    for place in tree.find_all(*_CONDITIONS):
        for side in (place.args.get("this"), place.args.get("expression")):
            if side is not None and isinstance(side.unnest(), _VALUES):
                yield side


def average_of_integers(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """T-SQL's AVG of integers is an integer."""
    if target.dialect in ("tsql", "fabric"):
        yield from tree.find_all(exp.Avg)


def text_with_number(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Comparisons of a text with a number, by column types where the schema is known."""
    for node in tree.find_all(*_COMPARISONS):
        if {target.affinity(node.this), target.affinity(node.expression)} == {"text", "number"}:
            yield node
    for choice in tree.find_all(exp.In, exp.Between):
        bounds = [choice.args[part] for part in ("low", "high") if part in choice.args]
        values = (choice.this, *choice.expressions, *bounds)
        if {"text", "number"} <= {target.affinity(value) for value in values}:
            yield choice


def arithmetic_on_text(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Sums and averages of text columns, which SQLite reads as numbers."""
    for node in tree.find_all(*_ARITHMETIC):
        sides = [node.this.unnest(), node.args.get("expression")]
        if any(isinstance(s, exp.Column) and target.affinity(s) == "text" for s in sides):
            yield node


def cast(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """CAST takes what it can in SQLite, '12abc' as 12; elsewhere it fails."""
    for node in tree.find_all(exp.Cast):
        if isinstance(node.this.unnest(), exp.Column | exp.TimeToStr | exp.Substring):
            yield node
