"""A query that stands in the text as it is, or as a value of a JSON object."""

import json
import re

from service.text2sql.completion.statement import LEADING_STATEMENT, STATEMENT

_LINE_STATEMENT = re.compile(
    rf"^[ \t]*(?:[A-Za-z][A-Za-z ]{{0,30}}:[ \t]*)?(?P<sql>(?:\([ \t]*)*{STATEMENT})",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE_STATEMENT = re.compile(r"\b(?P<sql>SELECT)\b")
# Quotes and comments that are never closed run to the end, so each character is seen once. The
# semicolon of an HTML entity ends nothing.
_SEMICOLON = re.compile(
    r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|--[^\n]*|/\*(?:.*?\*/|.*\Z)"
    r"|&(?:lt|gt|amp|quot|apos|nbsp|#\d{1,4});|(?P<end>;)",
    re.DOTALL,
)
# A whole run of blank lines in one match: one for each line would see the rest of the run again.
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_GOES_ON = re.compile(
    r"(?:\)|,|--|(?:SELECT|FROM|WHERE|GROUP|HAVING|ORDER|LIMIT|UNION|INTERSECT|EXCEPT|JOIN|LEFT"
    r"|INNER|CROSS|ON|AND|OR|WINDOW)\b)",
    re.IGNORECASE,
)
_JSON_MEMBER = re.compile(
    r"\"(?:(?:final|predicted|generated|output)_?)?(?:sql|query|sql_?query)\"\s*+:\s*+"
    r"(?P<value>\"(?:[^\"\\]|\\.)*+\")",
    re.IGNORECASE | re.DOTALL,
)


def bare_query(text: str) -> str | None:
    """The first query, from a line's beginning if there is one, up to its end as prose goes on."""
    found = _LINE_STATEMENT.search(text) or _INLINE_STATEMENT.search(text)
    if found is None:
        return None
    start = found.start("sql")
    body = _first_paragraphs(text[start:])
    if text[start - 1 : start] == "`":
        body = body.partition("\n")[0].rpartition("`")[0] or body
    ends = (token.end() for token in _SEMICOLON.finditer(body) if token["end"])
    return body[: next(ends, len(body))]


def json_query(text: str) -> str | None:
    """The value of the last member named `sql`, `query` or alike that holds a query."""
    values = [_decoded(found["value"]) for found in _JSON_MEMBER.finditer(text)]
    queries = [value for value in values if value and _holds_query(value)]
    return queries[-1] if queries else None


def _holds_query(value: str) -> bool:
    return "```" in value or LEADING_STATEMENT.match(value) is not None


def _decoded(value: str) -> str | None:
    try:
        # Not strict: models leave line breaks inside strings as they are.
        text: str = json.loads(value, strict=False)
    except ValueError:
        return None
    return text


def _first_paragraphs(body: str) -> str:
    for gap in _BLANK_LINES.finditer(body):
        if not _GOES_ON.match(body, gap.end()):
            return body[: gap.start()]
    return body
