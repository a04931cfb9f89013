"""Find marks (tags, fences) in a text, apart from those that SQL or prose only mentions.

`SELECT '</answer>'`, a comment about ```, and "I use `<answer>` tags" hold no marks. Apostrophes
inside words (it's) open no string. One pass; every alternative ends at a line's end, or is tried
only where its end is known to exist.
"""

import re
from collections.abc import Iterator

STRING = r"(?<!\w)'[^'\n]*'(?!\w)"
_CODE = r"(?<![\w`])`[^`\n]+`(?![\w`])|(?<!\w)\"[^\"\n]*\"(?!\w)"
_LINE_COMMENT = r"--[^\n]*"
_BLOCK_COMMENT = r"/\*.*?\*/"


class Marks:
    """A kind of mark: `pattern` is a regular expression within a line; its groups may be read."""

    def __init__(self, pattern: str) -> None:
        flags = re.IGNORECASE | re.MULTILINE | re.DOTALL
        mark = f"(?P<mark>{pattern})"
        mentioned = f"{STRING}|{_CODE}|{_LINE_COMMENT}"
        self._plain = re.compile(mark, flags)
        self._before = re.compile(f"{mentioned}|{_BLOCK_COMMENT}|{mark}", flags)
        self._after = re.compile(f"{mentioned}|{mark}", flags)
        self._quoted = re.compile(f"{STRING}|{_CODE}|{mark}", flags)

    def all(self, text: str) -> Iterator[re.Match[str]]:
        """Every mark, mentioned or not."""
        return self._plain.finditer(text)

    def outside_quotes(self, text: str) -> Iterator[re.Match[str]]:
        """Those that are not in quotes or backticks on one line."""
        position = 0
        # Most lines hold no mark, and to find one is much faster than to tell a mention.
        while first := self._plain.search(text, position):
            start = text.rfind("\n", position, first.start()) + 1 or position
            end = text.find("\n", first.end())
            position = end if end >= 0 else len(text)
            for found in self._quoted.finditer(text, start, position):
                if found["mark"]:
                    yield found

    def outside_sql(self, text: str) -> Iterator[re.Match[str]]:
        """Those that are not in quotes, backticks, or a SQL comment either."""
        if not self._plain.search(text):
            return
        last = text.rfind("*/") + 2 if "*/" in text else 0
        position = 0
        for found in self._before.finditer(text, 0, last):
            position = found.end()
            if found["mark"]:
                yield found
        yield from (found for found in self._after.finditer(text, position) if found["mark"])
