"""The modes of extraction, by the name that a request gives."""

import string
from collections.abc import Callable
from functools import partial

from service.text2sql.completion.bare import bare_query, json_query
from service.text2sql.completion.blocks import SQL_LABELS, fences, last_tag
from service.text2sql.completion.chat import own_turn
from service.text2sql.completion.statement import LEADING_STATEMENT
from service.text2sql.completion.thinking import split_thinking
from service.text2sql.types import Extract

AUTO_TAGS = ("answer", "solution", "final_answer", "sql")
# Byte order marks and characters of no width cling to the edges of what models write.
_EDGES = string.whitespace + "\x85\xa0\u2028\u2029\ufeff\u200b\u200c\u200d\u2060"


def extract_sql(completion: str, mode: Extract) -> str | None:
    """The SQL in a completion, stripped, or None if there is none; never a query of our own.

    none          the whole text is SQL, as it is
    sql_fence     the last ```sql (or ~~~sql) block, else the last unlabelled one with a query
    answer_tag    what stands in the last <answer>...</answer>: a fence, JSON, or the SQL itself
    solution_tag  the same for <solution>...</solution>
    auto          a tag (answer, solution, final_answer, sql), else a fence, else JSON, else a
                  bare query

    All but `none` first leave out chat templates and thinking. A last block or tag that was never
    closed counts: stop strings and length limits cut there.
    """
    if mode == "none":
        return completion.strip() or None
    # A turn may answer, think again and close with a remark: the last part that holds SQL counts.
    answers = split_thinking(own_turn(completion)).answers
    return next((sql for part in reversed(answers) if (sql := _FINDERS[mode](part))), None)


def _auto(text: str) -> str | None:
    if text.lstrip(_EDGES).startswith("{") and (found := json_query(text)):
        return _unwrapped(found)
    for name in AUTO_TAGS:
        if found := _last_tag(text, name):
            return found
    if found := _last_fence(text):
        return found
    in_json = None if LEADING_STATEMENT.match(text) else json_query(text)
    return _unwrapped(in_json) if in_json else clean(bare_query(text))


def _last_tag(text: str, name: str) -> str | None:
    tag = last_tag(text, name)
    return _unwrapped(tag.body) if tag else None


def _unwrapped(body: str) -> str | None:
    if body.lstrip(_EDGES).startswith("{"):
        body = json_query(body) or body
    return _last_fence(body, any_text=True) or _without_ticks(clean(body))


def _without_ticks(sql: str | None) -> str | None:
    # Inline code: as SQL it would be one name in backticks.
    if sql and sql[0] == sql[-1] == "`" and LEADING_STATEMENT.match(sql, 1):
        return clean(sql[1:-1])
    return sql


def _last_fence(text: str, *, any_text: bool = False) -> str | None:
    labelled, plain = None, None
    for block in fences(text):
        if block.label in SQL_LABELS:
            labelled = block.body
        elif not block.label and (any_text or LEADING_STATEMENT.match(block.body)):
            plain = block.body
    return clean(plain if labelled is None else labelled)


def clean(sql: str | None) -> str | None:
    """Without white space and characters of no width at its edges; None if nothing is left."""
    return (sql or "").strip(_EDGES) or None


_FINDERS: dict[Extract, Callable[[str], str | None]] = {
    "sql_fence": _last_fence,
    "answer_tag": partial(_last_tag, name="answer"),
    "solution_tag": partial(_last_tag, name="solution"),
    "auto": _auto,
}
