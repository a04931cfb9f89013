"""One text for statements that differ only in what SQL does not look at. Standard library only.

Outside quotes the case of ASCII letters, the length of runs of blanks and a last semicolon mean
nothing to SQLite, so texts that fold to the same are the same statement and need one run. A model's
samples often differ in no more than that. Names as they are written come back in two places: in the
rows of EXPLAIN, which is not folded, and in the message of an error, which may be that of its like.
"""

import re

_LONGEST = 65_536  # far below the engine's own limit, which blanks count for
_QUOTED = re.compile(r"""('[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\])""")
# A NUL; what Python takes for blanks and SQLite does not.
_UNSURE = re.compile(r"[\0\x0b\x1c-\x1f]")
# Its rows have names as they are written in the text.
_EXPLAIN = re.compile(r"[ \t\n\f\r;]*explain", re.IGNORECASE)


def fold(sql: str) -> str:
    """The text that stands for all like it; the text itself, marked, where that is not sure.

    Letters beyond ASCII differ by case in names, so texts with such stand for themselves.
    """
    if len(sql) > _LONGEST or not sql.isascii() or _is_unsure(sql) or _EXPLAIN.match(sql):
        return f"\0{sql}"
    # Four looks for one character each take a fifth of the time of a pattern.
    if "'" not in sql and '"' not in sql and "`" not in sql and "[" not in sql:
        return _without_end(_folded(sql))
    parts = _QUOTED.split(sql.lstrip(" \t\n\f\r"))
    # The dots keep a blank beside a quote: x'41' is not x '41'.
    parts[::2] = [_folded(f".{part}.") for part in parts[::2]]
    parts[-1] = _without_end(parts[-1].removesuffix("."))
    return "\0".join(parts)


def _is_unsure(sql: str) -> bool:
    """True for comments, which end at line ends, and for characters that are not what they seem."""
    if "--" in sql or "/*" in sql:
        return True
    return not sql.isprintable() and _UNSURE.search(sql) is not None


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _without_end(text: str) -> str:
    return text.rstrip(" ").removesuffix(";").rstrip(" ")
