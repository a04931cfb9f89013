"""Change one node of a query's tree at a time: what mutations.py and rewritings.py share."""

from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp

Columns = dict[str, dict[str, str]]
"""Affinity by column by table, names in lower case."""
Found = Iterator[tuple[str, exp.Expression]]

_MOST_PER_KIND = 4


def made(sql: str, rules: list[Callable[[exp.Expression], Found]]) -> list[tuple[str, str]]:
    """Distinct queries by the rules, none of the same text as the query's own, with their kinds."""
    try:
        tree = sqlglot.parse_one(sql, read="sqlite")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return []
    found: dict[str, str] = {}
    own = tree.sql("sqlite")
    for rule in rules:
        count: dict[str, int] = {}
        for kind, other in rule(tree):
            text = other.sql("sqlite")
            if text != own and text not in found and count.get(kind, 0) < _MOST_PER_KIND:
                found[text] = kind
                count[kind] = count.get(kind, 0) + 1
    return [(kind, text) for text, kind in found.items()]


def each_of(tree: exp.Expression, *kinds: Any) -> Iterator[tuple[exp.Expression, Any]]:
    """For each node of these kinds a copy of the tree and that node in it."""
    for place in range(sum(1 for _ in tree.find_all(*kinds))):
        copy = tree.copy()
        yield copy, list(copy.find_all(*kinds))[place]


def put(copy: exp.Expression, node: exp.Expression, new: exp.Expression) -> exp.Expression:
    """The tree with the new node in the place of this one."""
    if node is copy:
        return new
    node.replace(new)
    return copy


def twin_of(other: exp.Expression, copy: exp.Expression, node: exp.Expression) -> exp.Expression:
    """The node of `other`, a copy of `copy`, in the place of this one."""
    place = next(n for n, each in enumerate(copy.walk()) if each is node)
    return list(other.walk())[place]
