"""The operands beside an operator: a column, perhaps within functions, or a literal.

Standard library only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from service.sandbox.copies.scope import Ref, Scope
from service.text2sql.tokens import Token, unquoted

Literal = str | int | float

_NO_FUNCTION = frozenset(
    "AND OR NOT IN ON WHERE HAVING WHEN THEN ELSE SELECT BETWEEN LIKE FROM JOIN BY CASE".split()
)
_LONGEST = 60
"""Tokens of one operand that are looked at, so that nested operands cost linear time."""
_ARITHMETIC = frozenset({"+", "-", "*", "/", "%", "||"})


@dataclass(frozen=True, slots=True)
class Operand:
    """What stands on one side; `end` is the place of its last token."""

    end: int
    ref: Ref | None = None
    literal: Literal | None = None
    function: str = ""
    """Names of the functions around the column, inner first, with their literal arguments."""
    selects: bool = False
    """It is a subquery; `ref` is then its first output column, if that is one."""


class Operands:
    """Reads operands out of the tokens of one query."""

    def __init__(self, tokens: list[Token], scope: Scope) -> None:
        self._tokens = tokens
        self._scope = scope
        self._match = _matches(tokens)

    def before(self, place: int) -> Operand:
        """The operand whose last token is at `place`."""
        if place < 0:
            return Operand(place)
        if self._word(place) == ")":
            return self._grouped(self._match.get(place, place), place)
        operand = self._simple(place)
        start = place - 2 if self._word(place - 1) == "." else place
        if operand.ref and self._word(start - 1) in _ARITHMETIC:
            return Operand(place, operand.ref, None, "ARITHMETIC")
        if operand.literal is not None and self._word(start - 1) == "-":
            return Operand(place, None, _negative(operand.literal))
        return operand

    def after(self, place: int) -> Operand:
        """The operand whose first token is at `place`."""
        if place >= len(self._tokens):
            return Operand(place)
        if self._word(place) in ("-", "+"):
            operand = self.after(place + 1) if self._word(place + 1) not in ("-", "+") else None
            if operand is None or operand.literal is None:
                return Operand(place)
            sign = self._word(place)
            value = _negative(operand.literal) if sign == "-" else operand.literal
            return Operand(operand.end, None, value)
        opening = place if self._word(place) == "(" else place + 1
        if self._word(opening) == "(" and (opening == place or self._is_function(place)):
            return self._grouped(opening, self._match.get(opening, opening))
        end = place + 2 if self._word(place + 1) == "." else place
        operand = self._simple(end) if end < len(self._tokens) else Operand(place)
        if self._word(end + 1) in _ARITHMETIC:
            return Operand(end, operand.ref, None, "ARITHMETIC")
        return operand

    def listed(self, place: int) -> Iterator[Literal]:
        """The literals of a list in parentheses that opens at `place`."""
        if self._word(place) != "(":
            return
        for at in range(place + 1, min(self._match.get(place, place), place + 60)):
            literal = self._simple(at).literal
            if literal is not None:
                yield _negative(literal) if self._word(at - 1) == "-" else literal

    def combined(self, place: int) -> Iterator[tuple[Ref, Ref]]:
        """The first output columns on both sides of a set operator."""
        before, depth = place - 1, 0
        while before >= max(0, place - 10 * _LONGEST):
            word = self._word(before)
            depth += (word == ")") - (word == "(")
            if word == "SELECT" and depth == 0:
                break
            before -= 1
        left = self._first_output(before + 1, place)
        right = self._first_output(place + 2, len(self._tokens))
        if left and right:
            yield left, right

    def _word(self, place: int) -> str:
        return self._tokens[place].word if 0 <= place < len(self._tokens) else ""

    def _is_function(self, place: int) -> bool:
        return self._tokens[place].kind == "word" and self._word(place) not in _NO_FUNCTION

    def _simple(self, place: int) -> Operand:
        token = self._tokens[place]
        if ref := self._scope.resolve(place):
            return Operand(place, ref)
        return Operand(place, None, _literal(token))

    def _grouped(self, opening: int, closing: int) -> Operand:
        """A function call, a subquery, or something in parentheses."""
        if self._word(opening + 1) == "SELECT":
            return Operand(closing, self._first_output(opening + 2, closing), selects=True)
        inside = range(opening + 1, min(closing, opening + _LONGEST))
        refs = [ref for at in inside if (ref := self._scope.resolve(at))]
        function = self._functions(opening, closing)
        literals = [lit for at in inside if (lit := _literal(self._tokens[at])) is not None]
        if not refs:
            named = function in ("", "DATE", "DATETIME", "COUNT", "CAST")
            value = literals[0] if named and literals and function != "COUNT" else None
            return Operand(closing, None, value, function)
        return Operand(closing, refs[0], None, function)

    def _functions(self, opening: int, closing: int) -> str:
        """The functions of the call, the innermost first: STRFTIME(%Y), SUBSTR(1,4), LOWER..."""
        names = []
        for at in range(opening - 1, min(closing, opening + _LONGEST)):
            if self._word(at + 1) == "(" and at >= 0 and self._is_function(at):
                end = self._match.get(at + 1, at + 1)
                literals = [_literal(self._tokens[n]) for n in range(at + 2, min(end, at + 20))]
                arguments = ",".join(str(lit) for lit in literals if lit is not None)
                name = self._word(at)
                detailed = name in ("STRFTIME", "SUBSTR", "SUBSTRING") and arguments
                names.append(f"{name}({arguments})" if detailed else name)
            elif at > opening and self._word(at) in _ARITHMETIC and self._word(at - 1) != "(":
                names.append("ARITHMETIC")
        return " ".join(reversed(names))

    def _first_output(self, start: int, closing: int) -> Ref | None:
        for at in range(start, min(closing, start + _LONGEST)):
            if self._word(at) in ("FROM", "(", ","):
                return None
            if ref := self._scope.resolve(at):
                return ref
        return None


def _matches(tokens: list[Token]) -> dict[int, int]:
    """Places of matching parentheses, both ways."""
    found: dict[int, int] = {}
    stack: list[int] = []
    for place, token in enumerate(tokens):
        if token.word == "(":
            stack.append(place)
        elif token.word == ")" and stack:
            found[place] = stack.pop()
            found[found[place]] = place
    return found


def _literal(token: Token) -> Literal | None:
    if token.kind == "string" and token.text[0] == "'":
        return unquoted(token.text)
    if token.kind == "quoted" and token.text[0] == '"':
        return unquoted(token.text)  # no column has that name: SQLite takes it as a string
    if token.kind != "number":
        return None
    text = token.text.replace("_", "")
    if text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    return int(text[:16], 16) if text[:2].lower() == "0x" else float(text)


def _negative(literal: Literal) -> Literal:
    return literal if isinstance(literal, str) else -literal
