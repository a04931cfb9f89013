"""LIKE, GLOB and regular expressions in words."""

from collections.abc import Callable

from sqlglot import exp

from service.generation.explanation.say import Say, has_only

_CASE = "(ignoring case)"
_WILDCARDS = "(% is any text, _ any one character; ignoring case)"


def like(say: Say, node: exp.Expr, negated: bool) -> str:
    """`x LIKE 'a%'` as "x starts with 'a' (ignoring case)"."""
    pattern = node.expression
    if not has_only(node, "this", "expression", "negate"):
        return f"{'not ' if negated else ''}{say.verbatim(node)}"
    subject = say.part(node.this)
    negated ^= bool(node.args.get("negate"))
    if isinstance(pattern, exp.Literal) and pattern.is_string:
        return f"{subject} {_in_words(pattern.this, negated)}"
    verb = "does not match" if negated else "matches"
    return f"{subject} {verb} the pattern {say.part(pattern)} {_WILDCARDS}"


def _in_words(pattern: str, negated: bool) -> str:
    body = pattern.strip("%")
    if not body or "%" in body or "_" in body:
        verb = "does not match" if negated else "matches"
        return f"{verb} the pattern {_text(pattern)} {_WILDCARDS}"
    open_start, open_end = pattern.startswith("%"), pattern.endswith("%")
    verbs = {
        (True, True): ("contains", "does not contain"),
        (True, False): ("ends with", "does not end with"),
        (False, True): ("starts with", "does not start with"),
        (False, False): ("reads", "does not read"),
    }
    return f"{verbs[open_start, open_end][negated]} {_text(body)} {_CASE}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def escaped(say: Say, node: exp.Expr, negated: bool) -> str:
    """`x LIKE p ESCAPE c`."""
    inner = node.this
    if not isinstance(inner, exp.Like) or not has_only(inner, "this", "expression", "negate"):
        return f"{'not ' if negated else ''}{say.verbatim(node)}"
    negated ^= bool(inner.args.get("negate"))
    verb = "does not match" if negated else "matches"
    told = f"{_WILDCARDS[:-1]}; {say.part(node.expression)} before one takes it as it is)"
    return f"{say.part(inner.this)} {verb} the pattern {say.part(inner.expression)} {told}"


def _matching(kind: str) -> Callable[[Say, exp.Expr, bool], str]:
    def words(say: Say, node: exp.Expr, negated: bool) -> str:
        if not has_only(node, "this", "expression"):
            return f"{'not ' if negated else ''}{say.verbatim(node)}"
        verb = "does not match" if negated else "matches"
        return f"{say.part(node.this)} {verb} the {kind} {say.part(node.expression)}"

    return words


glob = _matching("GLOB pattern")
regular_expression = _matching("regular expression")
