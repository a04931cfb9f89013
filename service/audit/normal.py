"""Two questions, or two golds, are the same when their normal forms are."""

import unicodedata

from service.text2sql.tokens import Token, tokens

_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d`", "''\"\"'")
_LONGEST = 50_000  # characters of a gold that is cut into tokens, at a few MB a second
_END = " \t\r\n.?!;:"


def same_question(question: str) -> str:
    """Without regard to case, spaces, kind of quotation marks and the mark at the end."""
    folded = unicodedata.normalize("NFKC", question).translate(_QUOTES).casefold()
    return " ".join(folded.split()).rstrip(_END)


def same_gold(sql: str) -> str:
    """Without regard to spaces, comments, case and the last semicolon, all outside of quotes."""
    if len(sql) > _LONGEST:
        return " ".join(sql.split())
    parts = [_same(token) for token in tokens(sql)]
    while parts and parts[-1] == ";":
        parts.pop()
    return " ".join(parts)


def _same(token: Token) -> str:
    return token.text if token.kind in ("string", "quoted") else token.text.lower()
