"""A JSON list or JSON lines as rows that remember their own text, so that some can be left out.

What is kept is cut from the input, never written anew: numbers, escapes, field order, indentation
and line ends stay, byte for byte.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class RowText:
    """The text is head, row, gap, row, gap, ..., row, tail."""

    values: list[Any]
    texts: list[str]
    gaps: list[str]
    """`gaps[i]` stands between rows i and i + 1."""
    head: str
    tail: str
    encoding: str

    def place(self, number: int) -> str:
        """Where a person finds a row: `line 3` of JSON lines, counted from 1; else `row 2`."""
        if self.head.strip(" \t\r\n\ufeff"):
            return f"row {number}"
        before = [self.head, *self.gaps[:number], *self.texts[:number]]
        return f"line {1 + sum(part.count(chr(10)) for part in before)}"

    def without(self, left_out: Collection[int]) -> bytes:
        """The file without the rows of these indices; the same bytes where there are none."""
        kept = [n for n in range(len(self.texts)) if n not in left_out]
        parts = [self.head]
        for place, n in enumerate(kept):
            parts += [self.gaps[n - 1] if place else "", self.texts[n]]
        return "".join([*parts, self.tail]).encode(self.encoding, "surrogatepass")


def split_rows(data: bytes) -> RowText:
    """Rows of a JSON list, or of JSON lines where the text starts with an object.

    Raises ValueError that says where the text is no JSON or is no list (a RecursionError where it
    is nested too deep).
    """
    # utf-8-sig keeps the mark at the start of a file, and takes it away for the parser.
    encoding = json.detect_encoding(data)
    text = data.decode(encoding, "surrogatepass")
    start = _after_space(text, 0)
    if text[start : start + 1] == "{":
        return _lines(text, encoding)
    if text[start : start + 1] != "[":
        json.loads(text)  # says what is wrong, where it is no JSON at all
        raise NotAList
    return _list(text, start, encoding)


class NotAList(ValueError):
    """Valid JSON, of another kind."""


def _list(text: str, start: int, encoding: str) -> RowText:
    values: list[Any] = []
    spans: list[tuple[int, int]] = []
    at = _after_space(text, start + 1)
    head_end = at
    while text[at : at + 1] != "]" or spans:
        value, end = _DECODER.raw_decode(text, at)
        values.append(value)
        spans.append((at, end))
        at = _after_space(text, end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
        at = _after_space(text, at + 1)
    tail_start = spans[-1][1] if spans else at
    if rest := text[at + 1 :].strip(" \t\r\n"):
        raise json.JSONDecodeError("Extra data", text, text.index(rest, at + 1))
    return RowText(
        values,
        [text[a:b] for a, b in spans],
        [text[b:a] for (_, b), (a, _) in pairwise(spans)],
        text[:head_end],
        text[tail_start:],
        encoding,
    )


def _lines(text: str, encoding: str) -> RowText:
    """A row a line (`\\n` alone ends one: U+2028 may stand inside a text); empty lines are kept."""
    values: list[Any] = []
    texts: list[str] = []
    gaps = [""]
    for number, line in enumerate(text.split("\n"), 1):
        before = "\n" if number > 1 else ""
        body = line.strip(" \t\r")
        gaps[-1] += before
        if not body:
            gaps[-1] += line
            continue
        values.append(_line(body, number))
        texts.append(body)
        left, _, right = line.partition(body)
        gaps[-1] += left
        gaps.append(right)
    return RowText(values, texts, gaps[1:-1], gaps[0], gaps[-1], encoding)


def _line(body: str, number: int) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from None


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
