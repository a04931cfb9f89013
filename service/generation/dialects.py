"""A query of SQLite in another dialect, checked, with a warning for each thing that may differ.

sqlglot writes it. The check: sqlglot reports nothing as unsupported, the result can be parsed again
in that dialect, and its tables and columns are those of the original. What fails it is not given.
"""

import difflib
from dataclasses import dataclass

from sqlglot import ErrorLevel, exp
from sqlglot.dialects import Dialects
from sqlglot.errors import SqlglotError, UnsupportedError

from service.errors import InvalidRequest
from service.generation.portability.rules import warnings_for
from service.generation.reading import read
from service.text2sql.schema import Schema

_NO_DATABASES = {"", "dax", "prql", "solr", "tableau"}
DIALECTS = tuple(sorted(d.value for d in Dialects if d.value not in _NO_DATABASES))
"""sqlglot's names of the dialects that are offered."""
_ROUNDS_DECIMALS_ONLY = ("postgres", "materialize", "risingwave")


@dataclass(frozen=True, slots=True)
class Transpiled:
    """The query in the dialect, or None where it could not be carried over; `warnings` say why.

    A warning is "name: what differs (the SQL it is about)"; the names stand in docs/answers.md.
    """

    sql: str | None
    warnings: tuple[str, ...] = ()


def transpile(sql: str, dialect: str, schema: Schema | None = None) -> Transpiled:
    """The query of SQLite in that dialect; unchanged for "sqlite".

    With the schema, texts in double quotes become strings and comparisons of text with numbers are
    found. Raises InvalidRequest (param "dialect") for a dialect that is not one of DIALECTS.
    """
    target = known_dialect(dialect)
    if target == "sqlite":
        return Transpiled(sql)
    tree = read(sql, schema)
    if tree is None:
        return Transpiled(None, ("unreadable: the SQL cannot be parsed within bounds",))
    try:
        return _checked(tree, target, schema)
    except (SqlglotError, RecursionError, ValueError) as error:
        return Transpiled(None, (f"not carried over: {_first_line(error)}",))


def known_dialect(dialect: str) -> str:
    """The dialect's name as sqlglot has it; raises InvalidRequest that names the nearest ones."""
    name = dialect.strip().lower()
    if name in DIALECTS:
        return name
    near = difflib.get_close_matches(name, DIALECTS, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    known = f"known are {', '.join(DIALECTS)}"
    raise InvalidRequest(f"dialect {dialect[:40]!r} is not known{hint}: {known}", param="dialect")


def _checked(tree: exp.Query, target: str, schema: Schema | None) -> Transpiled:
    warnings = warnings_for(tree, target, schema)
    names = _names(tree)
    written = _rewritten(tree, target)
    try:
        text = written.sql(target, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        return Transpiled(None, (f"unsupported: {_first_line(error)}", *warnings))
    again = read(text, None, target)
    if again is None:
        return Transpiled(None, ("not carried over: the result cannot be parsed", *warnings))
    if _names(again) != names:
        changed = sorted(_names(again) ^ names)[:5]
        reason = f"not carried over: names differ in the result ({', '.join(changed)})"
        return Transpiled(None, (reason, *warnings))
    return Transpiled(text, warnings)


def _rewritten(tree: exp.Query, target: str) -> exp.Query:
    """What sqlglot carries over as it is, though the target means something else by it.

    LIKE as ILIKE, since SQLite's ignores case (sqlglot writes LOWER where there is none); numbers
    that PostgreSQL is to round to decimals as DECIMAL, since it rounds no others so.
    """
    for like in list(tree.find_all(exp.Like)):
        like.replace(exp.ILike(**{name: value for name, value in like.args.items() if value}))
    if target in _ROUNDS_DECIMALS_ONLY:
        for rounded in list(tree.find_all(exp.Round)):
            if rounded.args.get("decimals") is not None:
                rounded.set("this", exp.cast(rounded.this.copy(), exp.DType.DECIMAL))
    return tree


def _names(tree: exp.Query) -> set[str]:
    tables = {f"table {table.name.lower()}" for table in tree.find_all(exp.Table) if table.name}
    columns = {f"column {column.name.lower()}" for column in tree.find_all(exp.Column)}
    return tables | columns - {"column *"}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
