"""Take the SQL out of what a model wrote. Pure, and linear in the length of the text."""

import re
from collections.abc import Iterator

from service.text2sql.types import Extract

_SQL_LABELS = frozenset(
    {"sql", "sqlite", "sqlite3", "postgresql", "postgres", "mysql", "duckdb", "tsql", "plsql"}
)
_FENCE = re.compile(r"```+[ \t]*([A-Za-z0-9_+-]*)")
_END_OF_TURN = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end|end_of_text|start_header_id)\|>|<end_of_turn>"
)
_START_OF_TURN = re.compile(
    r"\s*+(?:(?:<\|im_start\|>|<start_of_turn>|<\|start_header_id\|>)(?:assistant|model)?"
    r"|assistant(?=\n))(?:<\|end_header_id\|>)?"
)
# A statement: SELECT, or WITH name [(columns)] AS, which prose beginning with "With" is not.
_STATEMENT = (
    r"(?:SELECT\b|WITH[ \t\r\n]+(?:RECURSIVE[ \t\r\n]+)?"
    r"(?:\w+|\"[^\"\n]*\"|`[^`\n]*`|\[[^]\n]*\])\s*(?:\([^()]*\)\s*)?AS\b)"
)
_LINE_STATEMENT = re.compile(
    rf"^[ \t]*(?:[A-Za-z][A-Za-z ]{{0,30}}:[ \t]*)?(?P<sql>(?:\([ \t]*)*{_STATEMENT})",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE_STATEMENT = re.compile(r"\b(?P<sql>SELECT)\b")
_LEADING_STATEMENT = re.compile(rf"(?:\s|\(|--[^\n]*\n)*+{_STATEMENT}", re.IGNORECASE)
# Quotes and comments that are never closed run to the end, so each character is seen once.
_SEMICOLON = re.compile(
    r"'[^']*(?:'|\Z)|\"[^\"]*(?:\"|\Z)|--[^\n]*|/\*(?:.*?\*/|.*\Z)|(?P<end>;)", re.DOTALL
)
# A whole run of blank lines in one match: one for each line would see the rest of the run again.
_BLANK_LINES = re.compile(r"\n[ \t\r]*\n\s*")
_GOES_ON = re.compile(
    r"(?:\)|,|--|(?:SELECT|FROM|WHERE|GROUP|HAVING|ORDER|LIMIT|UNION|INTERSECT|EXCEPT|JOIN|LEFT"
    r"|INNER|CROSS|ON|AND|OR|WINDOW)\b)",
    re.IGNORECASE,
)


def extract_sql(completion: str, mode: Extract) -> str | None:
    """The SQL in a completion, stripped, or None if there is none.

    none          the whole text is SQL
    sql_fence     the last ```sql block, else the last unlabelled block that starts like a query
    answer_tag    what stands in the last <answer>...</answer>, with or without a fence inside
    solution_tag  the same for <solution>...</solution>
    auto          without thinking and chat markers: a tag, else a fence, else a bare query

    A last block or tag that was never closed counts: stop strings and length limits cut there.
    """
    match mode:
        case "none":
            return completion.strip() or None
        case "sql_fence":
            return _last_fence(completion)
        case "answer_tag":
            return _last_tag(completion, "answer")
        case "solution_tag":
            return _last_tag(completion, "solution")
        case "auto":
            return _auto(_without_markers(_without_thinking(completion)))


def _auto(text: str) -> str | None:
    return (
        _last_tag(text, "answer")
        or _last_tag(text, "solution")
        or _last_fence(text)
        or _bare_query(text)
    )


def _without_thinking(text: str) -> str:
    # What follows the last </think> counts, since chat templates may open the block themselves.
    return text.rpartition("</think>")[2].partition("<think>")[0]


def _without_markers(text: str) -> str:
    opened = _START_OF_TURN.match(text)
    body = text[opened.end() :] if opened else text
    ended = _END_OF_TURN.search(body)
    return (body[: ended.start()] if ended else body).rstrip().removesuffix("</s>")


def _last_tag(text: str, name: str) -> str | None:
    start = text.rfind(f"<{name}>")
    if start < 0:
        return None
    body = text[start + len(name) + 2 :].partition(f"</{name}>")[0]
    return _last_fence(body, any_text=True) or _clean(body)


def _last_fence(text: str, *, any_text: bool = False) -> str | None:
    labelled, plain = None, None
    for label, body in _fences(text):
        if label in _SQL_LABELS:
            labelled = body
        elif not label and (any_text or _LEADING_STATEMENT.match(body)):
            plain = body
    return _clean((plain or "") if labelled is None else labelled)


def _fences(text: str) -> Iterator[tuple[str, str]]:
    """Blocks as (label, body); a labelled mark opens a block even if the last one is still open."""
    opened: tuple[str, int] | None = None
    for mark in _FENCE.finditer(text):
        label = mark[1].lower()
        if opened is not None:
            yield opened[0], text[opened[1] : mark.start()]
        opens = opened is None or label in _SQL_LABELS
        opened = _open(mark, label) if opens else None
    if opened is not None:
        yield opened[0], text[opened[1] :]


def _open(mark: re.Match[str], label: str) -> tuple[str, int]:
    # "```SELECT 1```": the word after the mark belongs to the query unless it names a language.
    if label in {"select", "with"}:
        return "", mark.start(1)
    return label, mark.end()


def _bare_query(text: str) -> str | None:
    found = _LINE_STATEMENT.search(text) or _INLINE_STATEMENT.search(text)
    if found is None:
        return None
    start = found.start("sql")
    body = _first_paragraphs(text[start:])
    if text[start - 1 : start] == "`":
        body = body.partition("\n")[0].rpartition("`")[0] or body
    ends = (token.end() for token in _SEMICOLON.finditer(body) if token["end"])
    return _clean(body[: next(ends, len(body))])


def _first_paragraphs(body: str) -> str:
    for gap in _BLANK_LINES.finditer(body):
        if not _GOES_ON.match(body, gap.end()):
            return body[: gap.start()]
    return body


def _clean(sql: str) -> str | None:
    ended = _END_OF_TURN.search(sql)
    return (sql[: ended.start()] if ended else sql).strip() or None
