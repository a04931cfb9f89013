"""Ask for one row more than a LIMIT gives, and for what rows are ordered by.

Where the last row inside a LIMIT and the first one outside differ in that, the LIMIT cuts through
no ties; where they differ only elsewhere, it does. So one run tells what breaking ties in two ways
(ties.py) takes two runs for.

Only for queries of the plainest kind; of all others, and of rows that are the same, it says
nothing.
Standard library only: the sandbox worker imports this file. One linear pass, no parser.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from service.text2sql.compare.rows import Row
from service.text2sql.ties import MAX_TERMS, plain_limit

_LONGEST, _MOST_ROWS = 10_000, 10_000
# Names and calls with names in them, as far as the FROM outside of parentheses.
_ITEMS = re.compile(
    r"\s*+select\s++(?!distinct\b|all\b)((?:[\w\s.,*]|\([\w\s.,*]*+\))+?)\sfrom\s", re.IGNORECASE
)
_NOT_PLAIN = re.compile(r"\b(?:union|intersect|except|collate)\b", re.IGNORECASE)
_PIECE = re.compile(r"(?:[^,(]|\([^)]*\))+")


class Probe(NamedTuple):
    """The query that asks for more, its rows' places that order them, and the LIMIT it had."""

    sql: str
    keys: tuple[int, ...]
    limit: int

    def cuts_ties(self, rows: Sequence[Row], columns: int) -> bool | None:
        """What all the rows of the probe show; None where they do not say.

        `columns` is the number of the query's output columns. Rows that tie and are not all the
        same cannot be broken ascending and descending with the same result.
        """
        if len(rows) <= self.limit or not self.limit:
            return False
        inside, outside = rows[self.limit - 1], rows[self.limit]
        if any(_apart(inside[key], outside[key]) for key in self.keys):
            return False
        if any(inside[key] != outside[key] for key in self.keys) or columns > MAX_TERMS:
            return None
        return True if inside[:columns] != outside[:columns] else None


def tie_probe(sql: str) -> Probe | None:
    """The probe of `SELECT names, calls FROM ... ORDER BY names, calls LIMIT n`, else None."""
    last = plain_limit(sql) if len(sql) <= _LONGEST else None
    found = _ITEMS.match(sql) if last else None
    if not last or not found or last.limit > _MOST_ROWS or _NOT_PLAIN.search(sql):
        return None
    items = _PIECE.findall(found[1])
    keys: list[int] = []
    added: list[str] = []
    for term in map(_without_direction, _PIECE.findall(sql[last.terms_at : last.at])):
        place = _place(term, items)
        if place is None:
            return None
        if place < 0:
            added.append(term)
        keys.append(place if place >= 0 else -len(added))
    more = "".join(f", {term}" for term in reversed(added))
    text = f"{sql[: found.end(1)]}{more}{sql[found.end(1) : last.at]}LIMIT {last.limit + 1}"
    return Probe(text, tuple(keys), last.limit)


def _without_direction(term: str) -> str:
    words = term.split()
    if len(words) > 2 and words[-2].lower() == "nulls":
        del words[-2:]
    if len(words) > 1 and words[-1].lower() in ("asc", "desc"):
        del words[-1]
    return " ".join(words)


def _place(term: str, items: Sequence[str]) -> int | None:
    """Which output column a term of ORDER BY is; -1 if it is none, None where that is not sure.

    A number is a place, and a bare name is first of all the name of an output column
    (https://sqlite.org/lang_select.html#orderby).
    """
    if not term.isidentifier() and not term[:1].isdigit():
        return -1
    names = [item.replace(".", " ").split()[-1].lower() for item in items if item.strip()]
    starred = any(name.endswith("*") for name in names)
    if term.isdigit():
        return None if starred or not 0 < int(term) <= len(names) else int(term) - 1
    places = [n for n, name in enumerate(names) if name == term.lower()]
    if not places:
        return -1 if term.isidentifier() else None
    return None if starred or len(places) > 1 else places[0]


def _apart(one: object, other: object) -> bool:
    """True for values that are in order by any of SQLite's collations, which ignore case or blanks
    at the end."""
    if isinstance(one, str) and isinstance(other, str):
        return one.lower().rstrip(" ") != other.lower().rstrip(" ")
    return one != other
