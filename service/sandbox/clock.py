"""Does a statement read the clock? Standard library only; lives in the worker.

The engine says which functions are called, not with what. SQLite's date functions read the clock
when they are given the text 'now', or no time at all (https://sqlite.org/lang_datefunc.html).
"""

from service.text2sql.tokens import tokens

_CURRENT = ("current_timestamp", "current_date", "current_time")
_TIME_FIRST = frozenset({"DATE", "TIME", "DATETIME", "JULIANDAY", "UNIXEPOCH"})
_DATE = frozenset(name.lower() for name in _TIME_FIRST) | {"strftime", "timediff"}
_NOW = ("'now'", '"now"')


def reads_clock(sql: str, functions: set[str]) -> str | None:
    """What in the statement reads the clock, None if nothing does.

    `functions` are those that the engine found, in lower case; the text alone is never enough. A
    clock that is reached through a view, or a column that holds 'now', is not found.
    """
    if current := functions.intersection(_CURRENT):
        return min(current).upper()
    if not functions & _DATE:
        return None
    found = list(tokens(sql))
    words = [token.word for token in found]
    for n, token in enumerate(found):
        if token.text.lower() in _NOW:
            return token.text
        if words[n] in _TIME_FIRST and words[n + 1 : n + 3] == ["(", ")"]:
            return f"{token.text}()"
        if words[n] == "STRFTIME" and words[n + 1 : n + 4] == ["(", "", ")"]:
            return f"{token.text}() without a time"
    return None
