"""Texts: LIKE, GLOB, quotes, joined texts, collations, and case in comparisons."""

from collections.abc import Iterator

from sqlglot import exp

from service.generation.portability.target import Target
from service.generation.quoting import unsure_quotes

_EMPTY_IS_NULL = ("oracle", "exasol")
_IGNORES_CASE = ("mysql", "tsql", "fabric")
_HAS_GLOB = ("duckdb",)


def like(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """LIKE ignores the case of A to Z alone; it is written so that all case is ignored."""
    yield from tree.find_all(exp.Like)


def glob(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """GLOB, which few others have."""
    if target.dialect not in _HAS_GLOB:
        yield from tree.find_all(exp.Glob)


def double_quotes(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Without the schema nobody knows whether "x" is a column or a text."""
    if target.schema is None:
        yield from unsure_quotes(tree)


def joined_with_null(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Where NULL is an empty text, it does not make a joined text NULL; '' is NULL there."""
    if target.dialect in _EMPTY_IS_NULL:
        yield from tree.find_all(exp.DPipe)
        yield from (text for text in tree.find_all(exp.Literal) if text.is_string and not text.this)


def joined_numbers(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Numbers become texts by themselves when SQLite joins them."""
    for node in tree.find_all(exp.DPipe):
        if "number" in (target.affinity(node.this), target.affinity(node.expression)):
            yield node


def collation(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """NOCASE, RTRIM and BINARY are SQLite's names."""
    yield from tree.find_all(exp.Collate)


def equal_texts(tree: exp.Query, target: Target) -> Iterator[exp.Expr]:
    """Texts that differ in case are equal by default in these dialects."""
    if target.dialect not in _IGNORES_CASE:
        return
    for node in tree.find_all(exp.EQ, exp.NEQ, exp.In):
        sides = (node.args.get("this"), node.args.get("expression"), *node.expressions)
        if any(isinstance(side, exp.Literal) and side.is_string for side in sides):
            yield node
