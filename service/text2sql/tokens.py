"""Cut SQL text into tokens in one linear pass, for questions that need no parser.

Standard library only: the sandbox worker imports this file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "number", "string", "quoted", "sign"]

_TOKEN = re.compile(
    r"""
      (?P<skip>--[^\n]* | /\*(?:.*?\*/|.*\Z) | \s+)
    | (?P<string>[xX]?'(?:[^']|'')*'?)
    | (?P<quoted>"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)
    | (?P<number>0[xX][0-9a-fA-F]+(?:_[0-9a-fA-F]+)*
        |(?:{digits}(?:\.(?:{digits})?)?|\.{digits})(?:[eE][+-]?{digits})?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<sign><=|>=|<>|!=|==|\|\||.)
    """.replace("{digits}", r"\d+(?:_\d+)*"),  # with separators, as SQLite has them from 3.46 on
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `end` are places in the text, in characters."""

    kind: Kind
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """A bare word in upper case or a sign; empty for names in quotes, strings, numbers."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def name(self) -> str:
        """The identifier that it may be, without quotes; empty for strings, numbers and signs."""
        if self.kind == "word":
            return self.text
        return unquoted(self.text) if self.kind == "quoted" else ""


def tokens(sql: str) -> Iterator[Token]:
    """All tokens in order, white space and comments left out."""
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup
        if kind != "skip":
            yield Token(kind, match.group(), match.start(), match.end())  # type: ignore[arg-type]


def unquoted(text: str) -> str:
    """What stands between the quotes, doubled quotes made single."""
    quote = {"[": "]"}.get(text[0], text[0])
    inner = text[1:-1] if len(text) > 1 and text[-1] == quote else text[1:]
    return inner if quote == "]" else inner.replace(quote * 2, quote)
