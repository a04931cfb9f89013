"""What a query says about the rows it wants: tables, conditions on columns, joins, groups, counts.

Read from the tokens, without a parser, so it is a guess in places: a name is looked for among the
columns of the tables that the text mentions. What is not understood is left out; planting is then
weaker, never wrong. Linear in the text's length. Standard library only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from service.sandbox.copies.operands import Operand, Operands
from service.sandbox.copies.schema import Schema, Table
from service.sandbox.copies.scope import Ref, Scope
from service.text2sql.tokens import Token, tokens

_MOST_TOKENS = 4_000
_MOST_CONDITIONS = 24
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_COMPARES = frozenset({"=", "==", "<", ">", "<=", ">=", "<>", "!="})
_GROUP_ENDS = frozenset("HAVING ORDER LIMIT UNION INTERSECT EXCEPT WINDOW SELECT ) ;".split())


@dataclass(frozen=True, slots=True)
class Condition:
    """`function(cell) op values`; `op` is one of = <> < > <= >= IN LIKE GLOB."""

    cell: Ref
    op: str
    values: tuple[str | int | float, ...]
    function: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found in one query; the order is that of the text."""

    tables: tuple[tuple[str, int], ...] = ()
    """(table, how many times it was mentioned before)."""
    conditions: tuple[Condition, ...] = ()
    joins: tuple[tuple[Ref, Ref], ...] = ()
    groups: tuple[Ref, ...] = ()
    counts: tuple[int, ...] = ()
    """Numbers that count(...) is compared with, and LIMITs."""
    mentioned: tuple[Ref, ...] = ()
    not_in: bool = False
    """There is a NOT IN (SELECT ...), which one NULL turns empty."""


def facts_of(sql: str, schema: Schema) -> Facts:
    """The facts of a query, those of the views it names included."""
    found = list(islice(tokens(sql), _MOST_TOKENS + 1))
    if len(found) > _MOST_TOKENS:
        return Facts()
    names = {token.name.lower() for token in found}
    for view, text in schema.views.items():
        if view.lower() in names:
            found += islice(tokens(text), _MOST_TOKENS)
    return _Reader(found, {table.name.lower(): table for table in schema.tables}).read()


@dataclass(slots=True)
class _Reader:
    """One pass over the tokens, by operator."""

    tokens: list[Token]
    tables: dict[str, Table]
    conditions: list[Condition] = field(default_factory=list)
    joins: list[tuple[Ref, Ref]] = field(default_factory=list)
    groups: list[Ref] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    not_in: bool = False

    def read(self) -> Facts:
        scope = Scope(self.tokens, self.tables)
        operands = Operands(self.tokens, scope)
        for place, token in enumerate(self.tokens):
            word = token.word
            if word in _COMPARES:
                self._compare(operands, place, word)
            elif word in ("LIKE", "GLOB", "IN", "BETWEEN"):
                self._listed(operands, place, word)
            elif word == "USING":
                self.joins += scope.using(place)
            elif word in ("EXCEPT", "INTERSECT"):
                self.joins += operands.combined(place)
            elif word in ("LIMIT", "OFFSET"):
                self._count(operands.after(place + 1))
            elif word == "BY" and place and self.tokens[place - 1].word == "GROUP":
                self.groups += self._grouped(scope, place)
        return Facts(
            tuple(scope.instances),
            tuple(dict.fromkeys(self.conditions))[:_MOST_CONDITIONS],
            tuple(dict.fromkeys(self.joins)),
            tuple(dict.fromkeys(self.groups)),
            tuple(sorted(set(self.counts))),
            tuple(sorted(set(scope.mentioned()))),
            self.not_in,
        )

    def _compare(self, operands: Operands, place: int, op: str) -> None:
        left, right = operands.before(place - 1), operands.after(place + 1)
        if left.literal is not None and right.ref:
            left, right, op = right, left, _FLIPPED.get(op, op)
        op = {"==": "=", "!=": "<>"}.get(op, op)
        if left.function == "COUNT":
            self._count(right)
        elif left.ref and right.literal is not None:
            self._add(left, op, (right.literal,))
        elif left.ref and right.ref and op == "=" and not left.function and not right.function:
            self.joins.append((left.ref, right.ref))

    def _listed(self, operands: Operands, place: int, word: str) -> None:
        negated = self.tokens[place - 1].word == "NOT" if place else False
        left = operands.before(place - 1 - negated)
        if word == "BETWEEN":
            return self._between(operands, place, left, negated)
        if word != "IN":
            right = operands.after(place + 1)
            if left.ref and right.literal is not None:
                self._add(left, word, (str(right.literal),), negated)
            return None
        right = operands.after(place + 1)
        before = self.tokens[max(0, place - 5) : place]  # also NOT t.x IN (SELECT ...)
        self.not_in |= right.selects and any(token.word == "NOT" for token in before)
        if left.ref and right.selects and right.ref:
            self.joins.append((left.ref, right.ref))
        elif left.ref and (values := tuple(operands.listed(place + 1))):
            self._add(left, "IN", values, negated)
        return None

    def _between(self, operands: Operands, place: int, left: Operand, negated: bool) -> None:
        low = operands.after(place + 1)
        if low.end + 1 >= len(self.tokens) or self.tokens[low.end + 1].word != "AND":
            return
        high = operands.after(low.end + 2)
        if left.ref and low.literal is not None and high.literal is not None:
            self._add(left, ">=", (low.literal,), negated)
            self._add(left, "<=", (high.literal,), negated)

    def _add(
        self,
        left: Operand,
        op: str,
        values: tuple[str | int | float, ...],
        negated: bool = False,
    ) -> None:
        assert left.ref
        self.conditions.append(Condition(left.ref, op, values, left.function, negated))

    def _count(self, operand: Operand) -> None:
        if isinstance(operand.literal, int) and 0 <= operand.literal <= 40:
            self.counts.append(operand.literal)

    def _grouped(self, scope: Scope, place: int) -> Iterator[Ref]:
        for at in range(place + 1, len(self.tokens)):
            if self.tokens[at].word in _GROUP_ENDS:
                return
            if ref := scope.resolve(at):
                yield ref
