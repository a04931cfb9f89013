"""Rewrite an aggregate query so that its bare columns take the least and the greatest value.

A bare column is one outside an aggregate function that GROUP BY does not fix: SQLite takes its
value from some row of the group (sqlite.org/lang_select.html#bareagg). In the two variants it is
the group's least value and its greatest, NULL where the group has both values and NULLs: if their
results differ, the query's result rests on an unspecified choice. Columns that are the same in all
rows of a group are not changed by this. Left alone: `*`, window functions, and queries with one
min() or max(), from whose row SQLite takes bare columns.

Standard library only: the sandbox worker imports this file. One linear pass, no parser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from service.text2sql.tokens import Token, tokens

_AGGREGATES = frozenset("COUNT SUM AVG MIN MAX TOTAL GROUP_CONCAT STRING_AGG".split())
_CORE_ENDS = frozenset("UNION INTERSECT EXCEPT ;".split())
_NO_COLUMN = frozenset(
    "SELECT DISTINCT ALL AS CASE WHEN THEN ELSE END AND OR NOT IN IS NULL LIKE GLOB BETWEEN "
    "COLLATE CAST ESCAPE EXISTS TRUE FALSE CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP".split()
)


@dataclass(slots=True)
class _Core:
    """One SELECT: the columns of its list outside of aggregates, and whether it aggregates."""

    listing: bool = False
    groups: bool = False
    aggregates: int = 0
    extremes: int = 0
    windows: bool = False
    bare: list[tuple[int, int]] = field(default_factory=list)
    """(start, end) in the text."""

    def matters(self) -> bool:
        """True if the bare columns are to be replaced."""
        aggregated = self.groups or self.aggregates > 0
        return aggregated and not self.windows and self.extremes != 1


def bare_variants(sql: str) -> tuple[str, str] | None:
    """The query with bare columns at their least, and at their greatest; None if it has none.

    Where GROUP BY names an output column by its alias or number, the variants do not run.
    """
    spans = sorted(span for core in _cores(sql) if core.matters() for span in core.bare)
    if not spans:
        return None
    return _replaced(sql, spans, "min({0})"), _replaced(sql, spans, _GREATEST)


_GREATEST = "CASE WHEN count({0}) = count(*) THEN max({0}) END"


def _cores(sql: str) -> Iterator[_Core]:
    """Every SELECT of the text; the stack holds None inside an aggregate function."""
    found = list(tokens(sql))
    stack: list[_Core | None] = [_Core()]
    for place, token in enumerate(found):
        word, core = token.word, stack[-1]
        following = found[place + 1].word if place + 1 < len(found) else ""
        before = found[place - 1].word if place else ""
        if word == "(":
            stack.append(_inside(found, place, core))
        elif word == ")":
            closed = stack.pop() if len(stack) > 1 else None
            if closed is not None and closed is not (stack[-1] if stack else None):
                yield closed
        elif word == "SELECT" or word in _CORE_ENDS:
            if core is not None and (core.bare or core.groups or core.aggregates):
                yield core
            stack[-1] = _Core(listing=word == "SELECT")
        elif core is not None:
            _see(core, token, before, following, found, place)
    yield from (core for core in stack if core is not None)


def _inside(found: list[Token], place: int, core: _Core | None) -> _Core | None:
    """What an opening parenthesis leads into: a subquery, an aggregate, or more of the same."""
    following = found[place + 1].word if place + 1 < len(found) else ""
    name = found[place - 1].word if place else ""
    if following in ("SELECT", "WITH", "VALUES"):
        return _Core()
    if name == "OVER" and core:
        core.windows = True
    if name not in _AGGREGATES or core is None:
        return core
    if core.listing:
        core.aggregates += 1
    core.extremes += name in ("MIN", "MAX")
    return None


def _see(
    core: _Core, token: Token, before: str, following: str, found: list[Token], place: int
) -> None:
    """Take a token of the SELECT itself."""
    if token.word == "FROM":
        core.listing = False
    elif token.word == "GROUP":
        core.groups = True
    elif core.listing and _is_column(token, before, following):
        start = found[place - 2].start if before == "." and place > 1 else token.start
        core.bare.append((start, token.end))


def _is_column(token: Token, before: str, following: str) -> bool:
    if not token.name or token.word in _NO_COLUMN or following in (".", "("):
        return False
    # A name after a value is its alias: SELECT a b, SELECT f(x) b.
    return before in _BEFORE_COLUMN


_BEFORE_COLUMN = frozenset(
    "SELECT DISTINCT ALL , ( . + - * / % || = == < > <= >= <> != AND OR NOT WHEN THEN ELSE CASE "
    "LIKE BETWEEN IS IN".split()
)


def _replaced(sql: str, spans: list[tuple[int, int]], pattern: str) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [sql[at:start], pattern.format(sql[start:end])]
        at = end
    return "".join([*parts, sql[at:]])
