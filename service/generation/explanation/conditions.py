"""Conditions in words: comparisons, IN, BETWEEN, IS, EXISTS, NOT, and AND, OR with grouping."""

from collections.abc import Callable

from sqlglot import exp

from service.generation.explanation import patterns
from service.generation.explanation.say import Say, has_only, listed

Words = Callable[[Say, exp.Expr, bool], str]
"""A condition's words; the flag asks for its negation."""

_VERBS: dict[type[exp.Expr], str] = {
    exp.GT: "is more than",
    exp.GTE: "is at least",
    exp.LT: "is less than",
    exp.LTE: "is at most",
    exp.NullSafeEQ: "is the same as",
    exp.NullSafeNEQ: "is not the same as",
}


def condition(say: Say, node: exp.Expr) -> str | None:
    """The condition in words, or None if the node is a value and not a condition."""
    inner = node.unnest()
    if isinstance(inner, exp.And | exp.Or):
        return _connected(say, inner)
    if isinstance(inner, exp.Not):
        return _negated(say, inner)
    words = _words_for(inner)
    if words is None:
        return None
    if _is_chained(inner):
        return say.verbatim(inner)
    return words(say, inner, False)


def is_condition(node: exp.Expr) -> bool:
    """Whether the node, brackets aside, is true or false."""
    inner = node.unnest()
    return isinstance(inner, exp.And | exp.Or | exp.Not) or _words_for(inner) is not None


def _words_for(node: exp.Expr) -> Words | None:
    return _WORDS.get(type(node)) or (_comparison if type(node) in _VERBS else None)


def _is_chained(node: exp.Expr) -> bool:
    # SQLite takes a = b IN (c) as (a = b) IN (c), sqlglot as a = (b IN (c)): not to be guessed.
    sides = (node.args.get("this"), node.args.get("expression"))
    return not isinstance(node, exp.Escape) and any(type(side) in _GROUPS for side in sides)


def _connected(say: Say, node: exp.Expr) -> str:
    kind = type(node)
    word = "and" if kind is exp.And else "or"
    terms: list[exp.Expr] = []
    waiting = [node]
    while waiting:  # iterative: chains are long, and left-deep
        term = waiting.pop()
        inner = term.unnest()
        if type(inner) is kind:
            waiting += [inner.expression, inner.this]
        else:
            terms.append(inner)
    said = [_grouped(say, term) for term in terms]
    return f" {word} ".join(said)


def _grouped(say: Say, term: exp.Expr) -> str:
    text = say.condition(term)
    return f"({text})" if isinstance(term, exp.And | exp.Or) else text


def _negated(say: Say, node: exp.Expr) -> str:
    inner = node.this.unnest()
    words = _NEGATABLE.get(type(inner))
    if words is None or _is_chained(inner):
        return f"it is not true that ({say.condition(inner)})"
    return words(say, inner, True)


def _equality(say: Say, node: exp.Expr, negated: bool) -> str:
    is_literal = isinstance(node.expression, exp.Literal | exp.Neg | exp.Boolean)
    verb = "is" if is_literal else "equals"
    return f"{say.part(node.this)} {verb} {say.part(node.expression)}"


def _inequality(say: Say, node: exp.Expr, negated: bool) -> str:
    is_literal = isinstance(node.expression, exp.Literal | exp.Neg | exp.Boolean)
    verb = "is not" if is_literal else "does not equal"
    return f"{say.part(node.this)} {verb} {say.part(node.expression)}"


def _comparison(say: Say, node: exp.Expr, negated: bool) -> str:
    return f"{say.part(node.this)} {_VERBS[type(node)]} {say.part(node.expression)}"


def _is(say: Say, node: exp.Expr, negated: bool) -> str:
    verb = "is not" if negated else "is"
    other = node.expression
    if isinstance(other, exp.Null):
        return f"{say.part(node.this)} {verb} missing"
    return f"{say.part(node.this)} {verb} {say.part(other)}"


def _between(say: Say, node: exp.Expr, negated: bool) -> str:
    if not has_only(node, "this", "low", "high"):
        return f"{'not ' if negated else ''}{say.verbatim(node)}"
    verb = "is not between" if negated else "is between"
    low, high = say.part(node.args["low"]), say.part(node.args["high"])
    return f"{say.part(node.this)} {verb} {low} and {high} inclusive"


def _in(say: Say, node: exp.Expr, negated: bool) -> str:
    if not has_only(node, "this", "expressions", "query", "field"):
        return f"{'not ' if negated else ''}{say.verbatim(node)}"
    verb = "is none of" if negated else "is one of"
    query, field = node.args.get("query"), node.args.get("field")
    if query is not None:
        choices = say.query(query)
    elif field is not None:
        choices = f"the rows of {say.value(field)}"
    else:
        values = [say.part(value) for value in node.expressions]
        choices = listed(values, "or") or "no value at all"
    return f"{say.part(node.this)} {verb} {choices}"


def _exists(say: Say, node: exp.Expr, negated: bool) -> str:
    return f"there is {'no' if negated else 'a'} row in {say.query(node.this)}"


_NEGATABLE: dict[type[exp.Expr], Words] = {
    exp.Is: _is,
    exp.In: _in,
    exp.Between: _between,
    exp.Exists: _exists,
    exp.Like: patterns.like,
    exp.Escape: patterns.escaped,
    exp.Glob: patterns.glob,
    exp.RegexpLike: patterns.regular_expression,
}
_WORDS: dict[type[exp.Expr], Words] = _NEGATABLE | {exp.EQ: _equality, exp.NEQ: _inequality}
_GROUPS = {*_WORDS, *_VERBS} - {exp.Exists}
