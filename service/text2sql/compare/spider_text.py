"""What Spider's test suite does to a query's text before it runs it.

taoyds/test-suite-sql-eval exec_eval.py (`postprocess`, `replace_cur_year`) and parse.py
(`remove_distinct`, on top of the sqlparse package). Done to gold and prediction alike:

    "> =", "< =", "! ="   are closed up, inside strings too
    DISTINCT              every such word outside strings, quoted names and comments is dropped, and
                          so is everything after the first statement (not with keep_distinct)
    YEAR(CURDATE())       becomes 2020

sqlparse takes \\' and \\" inside quotes for escapes, which SQLite does not; this is kept. Its
treatment of BEGIN and GO and its limits on nesting differ between its releases and are not.
"""

import re

_PIECE = re.compile(
    r"""
      (?:--|\#\ )[^\r\n]*
    | /\*(?:.*?\*/|.*)
    | [+/@\#%^&|][+/@\#%^&|-]*  # swallows the start of a comment, as sqlparse does
    | `(?:[^`]++|``)*`
    | '(?:[^'\\]++|''|\\'|\\)*'
    | "(?:[^"\\]++|""|\\"|\\)*"
    | (?<![\w\])])\[[^\]\[]+\]
    | \w[$\#\w]*
    | ;
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER_END = re.compile(r"(?:[^\S\r\n]|(?:--|# )(?!\+)[^\r\n]*(?:\r\n|\r|\n)?)*")
_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)


def keep_distinct(sql: str) -> str:
    """The text as it runs with --keep_distinct."""
    repaired = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    return _YEAR.sub("2020", repaired)


def without_distinct(sql: str) -> str | None:
    """The text as it runs by default; None where the evaluator crashes: no text but white space."""
    if not sql.strip():
        return None
    repaired = sql.replace("> =", ">=").replace("< =", "<=").replace("! =", "!=")
    if ";" in repaired or "distinct" in repaired.lower():
        repaired = _first_statement(repaired)
    return _YEAR.sub("2020", repaired)


def _first_statement(sql: str) -> str:
    kept: list[str] = []
    start = 0
    for match in _PIECE.finditer(sql):
        piece = match.group()
        if piece == ";":
            end = _AFTER_END.match(sql, match.end())
            return "".join([*kept, sql[start : end.end() if end else match.end()]])
        if piece.lower() == "distinct":
            kept.append(sql[start : match.start()])
            start = match.end()
    return "".join([*kept, sql[start:]])
