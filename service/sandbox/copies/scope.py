"""Which tables a query's text mentions, and which of their columns a name means.

Standard library only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from service.sandbox.copies.schema import Table
from service.text2sql.tokens import Token

Ref = tuple[str, int, int]
"""A column of one mention of a table: (table, how many mentions before, position)."""

_CLAUSES = frozenset("SELECT FROM WHERE GROUP HAVING ORDER LIMIT ON UNION INTERSECT EXCEPT".split())
_NO_ALIAS = _CLAUSES | frozenset(
    "AS JOIN LEFT RIGHT FULL INNER CROSS NATURAL OUTER USING WINDOW INDEXED NOT AND OR".split()
)
_MOST_MENTIONS = 8


@dataclass(slots=True)
class Scope:
    """Mentions of tables in order, their aliases, and the columns that names mean."""

    tokens: list[Token]
    tables: dict[str, Table]
    instances: list[tuple[str, int]] = field(default_factory=list)
    _aliases: dict[str, list[int]] = field(default_factory=dict)
    _where: list[int] = field(default_factory=list)
    _columns: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clauses = [""]
        for place, token in enumerate(self.tokens):
            word = token.word
            if word == "(":
                clauses.append(clauses[-1] if clauses[-1] == "FROM" else "")
            elif word == ")" and len(clauses) > 1:
                clauses.pop()
            elif word in _CLAUSES:
                clauses[-1] = word
            elif self._mentions(place, token, clauses[-1]):
                self._mention(place, token)

    def _mentions(self, place: int, token: Token, clause: str) -> bool:
        before = self.tokens[place - 1].word if place else ""
        return (
            (before in ("FROM", "JOIN") or (before in (",", "(") and clause == "FROM"))
            and token.name.lower() in self.tables
            and len(self.instances) < _MOST_MENTIONS
        )

    def _mention(self, place: int, token: Token) -> None:
        table = self.tables[token.name.lower()]
        before = sum(name == table.name for name, _ in self.instances)
        number = len(self.instances)
        self.instances.append((table.name, before))
        self._where.append(place)
        self._columns.append({c.name.lower(): n for n, c in enumerate(table.columns)})
        self._aliases.setdefault(token.name.lower(), []).append(number)
        if alias := self._alias(place + 1):
            self._aliases.setdefault(alias.lower(), []).append(number)

    def _alias(self, place: int) -> str:
        if self._word(place) == "AS":
            return self.tokens[place + 1].name if place + 1 < len(self.tokens) else ""
        return self.tokens[place].name if place < len(self.tokens) and self._free(place) else ""

    def _free(self, place: int) -> bool:
        return self._word(place) not in _NO_ALIAS

    def _word(self, place: int) -> str:
        return self.tokens[place].word if 0 <= place < len(self.tokens) else ""

    def resolve(self, place: int) -> Ref | None:
        """The column that the name at this place means; None if it is none's."""
        name = self.tokens[place].name.lower()
        if not name or self._word(place + 1) in (".", "("):
            return None
        numbers = list(range(len(self.instances)))
        if self._word(place - 1) == ".":
            numbers = self._aliases.get(self.tokens[place - 2].name.lower(), numbers)
        holders = [n for n in numbers if name in self._columns[n]]
        if not holders:
            return None
        nearest = min(holders, key=lambda n: abs(self._where[n] - place))
        return (*self.instances[nearest], self._columns[nearest][name])

    def using(self, place: int) -> Iterator[tuple[Ref, Ref]]:
        """Joins by USING (column, ...): equal in all tables that have the column."""
        for at in range(place + 1, len(self.tokens)):
            if self._word(at) == ")":
                return
            name = self.tokens[at].name.lower()
            holders = [n for n, columns in enumerate(self._columns) if name in columns]
            for left, right in pairwise(holders):
                yield (
                    (*self.instances[left], self._columns[left][name]),
                    (*self.instances[right], self._columns[right][name]),
                )

    def mentioned(self) -> Iterator[Ref]:
        """Every column that some name means."""
        for place, token in enumerate(self.tokens):
            if token.name and (ref := self.resolve(place)):
                yield ref
