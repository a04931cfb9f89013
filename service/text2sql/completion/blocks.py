"""Tags and fences: the places that trainers tell a model to put its SQL in."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from service.text2sql.completion.marks import Marks
from service.text2sql.completion.statement import LEADING_STATEMENT

SQL_LABELS = frozenset(
    "sql sqlite sqlite3 postgresql postgres pgsql psql mysql mariadb duckdb tsql t-sql mssql plsql"
    " plpgsql bigquery snowflake ansi-sql spark-sql sparksql trino presto hive clickhouse".split()
)
_FENCES = Marks(r"(?P<fence>`{3,}|^[ \t]*~{3,})[ \t]*(?:\{\.)?(?P<label>[A-Za-z0-9_+-]*)\}?")
# The rest of a fence's first line, where it is attributes: ```sql title="x" or {.numberLines}.
# Bounded, since every fence on a line would see the rest of the line again.
_ATTRIBUTES = re.compile(r"[ \t]{0,9}(?:\{[^}\n]{0,200}\}|\w{1,40}=[^\n]{0,200})(?=\n)")


@dataclass(frozen=True, slots=True)
class Block:
    """What stands in a tag or fence; `start` and `end` are its outer bounds in the text."""

    label: str
    body: str
    start: int
    end: int
    closed: bool


@cache
def _tag_marks(name: str) -> Marks:
    return Marks(rf"<(?P<close>/?){name}[ \t]{{0,8}}>")


def has_tag(text: str, name: str) -> bool:
    """True if a <name> or </name> stands outside quotes and SQL comments."""
    return any(True for _ in _tag_marks(name).outside_sql(text))


def last_tag(text: str, name: str) -> Block | None:
    """The last <name>...</name>, or what follows the last <name> if none was closed.

    A tag left open behind a closed one counts if a query or fence follows, else it is a mention.
    """
    marks = _tag_marks(name)
    found = _last_pair(text, marks.outside_sql(text))
    if found and found.closed and found.body.strip():
        return found
    return _last_pair(text, marks.all(text))


def _last_pair(text: str, marks: Iterable[re.Match[str]]) -> Block | None:
    opened: re.Match[str] | None = None
    pair: Block | None = None
    for mark in marks:
        if not mark["close"]:
            opened = mark
        elif opened:
            pair = _block("", text, opened.start(), opened.end(), mark.start(), mark.end())
            opened = None
    if opened and (pair is None or _is_query(text, opened.end())):
        return _block("", text, opened.start(), opened.end(), len(text), None)
    return pair


def _is_query(text: str, position: int) -> bool:
    return bool(LEADING_STATEMENT.match(text, position)) or text[position:].lstrip()[:3] == "```"


def fences(text: str) -> list[Block]:
    """The fenced blocks; marks in strings and comments count only if the rest make no sense."""
    found = list(_fenced(text, _FENCES.outside_sql(text)))
    if found and found[-1].closed and any(block.body.strip() for block in found):
        return found
    return list(_fenced(text, _FENCES.all(text)))


def _fenced(text: str, marks: Iterable[re.Match[str]]) -> Iterator[Block]:
    """A labelled mark opens a block even if the last one is still open."""
    opened: tuple[re.Match[str], str, int] | None = None
    for mark in marks:
        label = mark["label"].lower()
        if opened is not None:
            if mark["fence"].lstrip()[0] != opened[0]["fence"].lstrip()[0]:
                continue
            again = label in SQL_LABELS
            yield _fence(text, opened, mark.start(), None if again else mark.end("fence"))
            opened = _open(mark, label, text) if again else None
        else:
            opened = _open(mark, label, text)
    if opened is not None:
        yield _fence(text, opened, len(text), None)


def _open(mark: re.Match[str], label: str, text: str) -> tuple[re.Match[str], str, int]:
    # "```SELECT 1```": the word after the mark belongs to the query unless it names a language.
    if label in {"select", "with"}:
        return mark, "", mark.start("label")
    attributes = _ATTRIBUTES.match(text, mark.end())
    return mark, label, attributes.end() if attributes else mark.end()


def _fence(text: str, opened: tuple[re.Match[str], str, int], end: int, outer: int | None) -> Block:
    mark, label, start = opened
    return _block(label, text, mark.start(), start, end, outer)


def _block(label: str, text: str, outer: int, start: int, end: int, closed: int | None) -> Block:
    return Block(label, text[start:end], outer, end if closed is None else closed, bool(closed))
