"""SQL read into sqlglot's tree within bounds, as SQLite would understand its quotes.

sqlglot is pure Python and recursive: 50 nested parentheses end it with RecursionError and 20,000
AND terms take it seconds. So bytes, tokens and nesting are counted before it parses.
"""

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError

from service.generation.quoting import mark_double_quotes, with_text_in_double_quotes
from service.text2sql.schema import Schema

MAX_BYTES = 20_000
MAX_TOKENS = 3_000
MAX_NESTING = 24
"""Open parentheses and CASEs at one place; also NOT, -, + and ~ in a row, which nest as well."""

_OPENS = {TokenType.L_PAREN, TokenType.CASE}
_CLOSES = {TokenType.R_PAREN, TokenType.END}
_PREFIXES = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}


def read(sql: str, schema: Schema | None = None, dialect: str = "sqlite") -> exp.Query | None:
    """The tree of one query, or None if it is not one, cannot be parsed or is out of bounds.

    With the schema, "text" in double quotes that names no column becomes a string, as SQLite takes
    it. Bounds: MAX_BYTES of UTF-8, MAX_TOKENS, MAX_NESTING.
    """
    try:
        if not is_bounded(sql, dialect):
            return None
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
        tree = trees[0] if len(trees) == 1 else None
        if not isinstance(tree, exp.Query):
            return None
        if not all(select.expressions for select in tree.find_all(exp.Select)):
            return None  # sqlglot reads SELECT FROM t, SQLite does not
        marked = mark_double_quotes(tree, sql)
        return with_text_in_double_quotes(marked, schema) if schema else marked
    except (SqlglotError, RecursionError, ValueError):
        return None


def is_bounded(sql: str, dialect: str = "sqlite") -> bool:
    """Whether sqlglot may parse it; raises SqlglotError where it cannot even be cut in tokens."""
    if len(sql.encode("utf-8", "replace")) > MAX_BYTES:
        return False
    tokens = sqlglot.tokenize(sql, read=dialect)
    return len(tokens) <= MAX_TOKENS and _nesting(tokens) <= MAX_NESTING


def _nesting(tokens: list[Token]) -> int:
    depth = prefixes = deepest = 0
    for token in tokens:
        depth += (token.token_type in _OPENS) - (token.token_type in _CLOSES)
        prefixes = prefixes + 1 if token.token_type in _PREFIXES else 0
        deepest = max(deepest, depth, prefixes)
    return deepest
