"""Read the little of SQL text that needs no parser, in one linear pass.

A full parse costs ten times what the typical query costs to run, and fails on deep nesting, so the
verifier's hot path looks at the text only this far.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      --[^\n]*              # line comment
    | /\*(?:.*?\*/|.*\Z)    # block comment, closed or not
    | '(?:[^']|'')*'?       # string
    | "(?:[^"]|"")*"?       # quoted identifiers, three styles
    | `(?:[^`]|``)*`?
    | \[[^\]]*\]?
    | \w+
    | [()]
    """,
    re.VERBOSE | re.DOTALL,
)


def orders_rows(sql: str) -> bool:
    """True if the outermost query has an ORDER BY (one inside parentheses does not order rows)."""
    depth, previous = 0, ""
    for token in _words(sql):
        if token == "(":
            depth += 1
        elif token == ")":
            depth -= 1
        elif depth == 0 and token == "BY" and previous == "ORDER":
            return True
        previous = token
    return False


def _words(sql: str) -> Iterator[str]:
    """Bare words in upper case and parentheses; comments, strings and quoted names left out."""
    for match in _TOKEN.finditer(sql):
        token = match.group()
        if token in "()" or token[0].isalnum() or token[0] == "_":
            yield token.upper()
