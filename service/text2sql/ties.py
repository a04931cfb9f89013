"""Rewrite a query so that rows which tie are ordered in two opposite ways.

Where a LIMIT cuts through rows that tie in its ORDER BY (or that no ORDER BY orders), SQL leaves
open which of them are returned. The two variants break such ties by the output columns, once
ascending and once descending: if their results differ, the query's result rests on an unspecified
choice. Equal results prove nothing about choices that no output column shows.

Standard library only: the sandbox worker imports this file. One linear pass, no parser.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service.text2sql.tokens import Token, tokens

_TERMS = re.compile(r"[\s\w.,*]*(?:\([\s\w.,*]*\)[\s\w.,*]*)*\s")
_NUMBER_ENDS = re.compile(r"\s+(\d+)\s*;?\s*")
MAX_TERMS = 100
"""Output columns used to break ties; SQLite allows 2,000 ORDER BY terms in all."""
_LIST_ENDS = frozenset("FROM WHERE GROUP HAVING WINDOW ORDER LIMIT UNION INTERSECT EXCEPT".split())
_BEFORE_STAR = frozenset({"SELECT", "DISTINCT", "ALL", ",", "."})


def tie_variants(sql: str, columns: int) -> tuple[str, str] | None:
    """The query with ties at every LIMIT broken ascending, and descending; None without a LIMIT.

    `columns` is the number of the query's output columns. Inside subqueries the output columns are
    counted in the text, and the first alone is used where they cannot be (`SELECT *`).
    """
    if "limit" not in sql.lower():
        return None
    if (plain := plain_limit(sql)) is not None:
        return _variants(sql, [_Place(plain.at, columns, ordered=True, at_limit=True)])
    places = [place for place in _places(sql, columns) if place.at_limit]
    return _variants(sql, places) if places else None


def order_variants(sql: str, columns: int) -> tuple[str, str] | None:
    """As tie_variants, ties in the outermost ORDER BY broken too; None if there is neither.

    Rows that change places between the two results tie in the query's own ORDER BY.
    """
    places = [place for place in _places(sql, columns) if place.at_limit or place.ordered]
    return _variants(sql, places) if places else None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where ORDER BY terms can be added, and how many output columns there are."""

    at: int
    columns: int
    ordered: bool
    at_limit: bool


@dataclass(slots=True)
class _Query:
    """What is known of the query inside one pair of parentheses (or outside of all)."""

    columns: int = 0
    counting: bool = False
    star: bool = False
    ordered: bool = False
    limited: bool = False

    def see(self, word: str, previous: str) -> None:
        """Take the next token at this depth."""
        if word == "SELECT" and not self.columns:
            self.columns, self.counting = 1, True
        elif word in _LIST_ENDS:
            self.counting = False
        elif word == "BY" and previous == "ORDER":
            self.ordered = True
        elif self.counting and word == ",":
            self.columns += 1
        elif self.counting and word == "*" and previous in _BEFORE_STAR:
            self.star = True


@dataclass(frozen=True, slots=True)
class PlainLimit:
    """The end of a query: ORDER BY names or calls LIMIT number."""

    terms_at: int
    """Where the terms begin, in characters."""
    at: int
    """Where LIMIT begins."""
    limit: int  # 10**18 stands for all that is larger


def plain_limit(sql: str) -> PlainLimit | None:
    """The end of a query that ends with ORDER BY names or calls LIMIT number, else None.

    Most queries with a LIMIT are like that, and this costs a twentieth of reading all tokens. With
    one LIMIT, no comment, and nothing but names and closed parentheses between, the ORDER BY is the
    outermost query's.
    """
    low = sql.lower()
    at, by = low.rfind("limit"), low.rfind("order by")
    if not 0 <= by < at or low.find("limit") < at or "--" in sql or "/*" in sql:
        return None
    number = _NUMBER_ENDS.fullmatch(sql, at + 5)
    if number and _TERMS.fullmatch(sql, by + 8, at):
        return PlainLimit(by + 8, at, int(number[1]) if len(number[1]) < 19 else 10**18)
    return None


def _places(sql: str, columns: int) -> Iterator[_Place]:
    outer = _Query()
    stack, previous, end = [outer], "", 0
    for token in tokens(sql):
        word, query = token.word, stack[-1]
        if word == "(":
            stack.append(_Query())
        elif word == ")":
            if len(stack) > 1:
                stack.pop()
        elif word == "LIMIT" and query.columns and not query.limited:
            query.limited = True
            yield _at_limit(token, query, columns if query is outer else 0)
        else:
            query.see(word, previous)
        previous = word
        end = end if word == ";" else token.end
    if not outer.limited:
        yield _Place(end, columns, outer.ordered, at_limit=False)


def _at_limit(token: Token, query: _Query, columns: int) -> _Place:
    own = 1 if query.star else query.columns
    return _Place(token.start, columns or own, query.ordered, at_limit=True)


def _variants(sql: str, places: list[_Place]) -> tuple[str, str]:
    return _broken(sql, places, "ASC"), _broken(sql, places, "DESC")


def _broken(sql: str, places: list[_Place], direction: str) -> str:
    parts, start = [], 0
    for place in places:
        # COLLATE: texts that differ in case only tie in a NOCASE column, and must not here.
        terms = (
            f"{n} COLLATE BINARY {direction}" for n in range(1, min(place.columns, MAX_TERMS) + 1)
        )
        opening = "," if place.ordered else " ORDER BY"
        parts += [sql[start : place.at], f"{opening} {', '.join(terms)} "]
        start = place.at
    return "".join([*parts, sql[start:]])
