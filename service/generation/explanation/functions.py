"""Functions and aggregates in words; a function that has none here is quoted as SQL."""

from collections.abc import Callable

from sqlglot import exp

from service.generation.explanation.say import Say, has_only, listed

_PHRASES: dict[type[exp.Expr], str] = {
    exp.Sum: "the total of",
    exp.Avg: "the average of",
    exp.Min: "the smallest",
    exp.Max: "the largest",
    exp.Abs: "the absolute value of",
    exp.Length: "the length of",
    exp.Date: "the date of",
}
_SUFFIXES: dict[type[exp.Expr], str] = {
    exp.Upper: "in upper case",
    exp.Lower: "in lower case",
    exp.Trim: "without spaces at its ends",
}
_DATE_PARTS = {
    "%Y": "the year",
    "%m": "the month",
    "%d": "the day of the month",
    "%Y-%m": "the year and month",
    "%Y-%m-%d": "the date",
    "%H": "the hour",
    "%w": "the day of the week (0 is Sunday)",
    "%j": "the day of the year",
}


def function(say: Say, node: exp.Expr) -> str | None:
    """The call in words, or None if it has none here."""
    if type(node) in _PHRASES and has_only(node, "this"):
        distinct = isinstance(node.this, exp.Distinct) and isinstance(node, exp.Min | exp.Max)
        return f"{_PHRASES[type(node)]} {'of ' if distinct else ''}{_argument(say, node.this)}"
    if type(node) in _SUFFIXES and has_only(node, "this"):
        return f"{say.operand(node.this)} {_SUFFIXES[type(node)]}"
    words = _WORDS.get(type(node))
    return words(say, node) if words else None


def _argument(say: Say, node: exp.Expr) -> str:
    if isinstance(node, exp.Distinct):
        return f"the different values of {_several(say, node)}"
    return say.part(node)


def _several(say: Say, node: exp.Expr) -> str:
    return listed([say.part(part) for part in node.expressions])


def _count(say: Say, node: exp.Expr) -> str | None:
    counted = node.this
    if not has_only(node, "this", "big_int"):
        return None
    if counted is None or isinstance(counted, exp.Star):
        return "the number of rows"
    if isinstance(counted, exp.Distinct):
        many = len(counted.expressions) > 1
        return f"the number of different {'combinations' if many else 'values'} of " + _several(
            say, counted
        )
    return f"the number of values of {say.part(counted)}"


def _round(say: Say, node: exp.Expr) -> str | None:
    digits = node.args.get("decimals")
    if not has_only(node, "this", "decimals"):
        return None
    if digits is None:
        return f"{say.operand(node.this)} rounded to a whole number"
    many = say.part(digits)
    return f"{say.operand(node.this)} rounded to {many} decimal{'' if many == '1' else 's'}"


def _coalesce(say: Say, node: exp.Expr) -> str | None:
    if not has_only(node, "this", "expressions"):
        return None
    values = [say.operand(value) for value in (node.this, *node.expressions)]
    return " or, if missing, ".join(values)


def _extreme(word: str) -> Callable[[Say, exp.Expr], str | None]:
    def words(say: Say, node: exp.Expr) -> str | None:
        if not has_only(node, "this", "expressions"):
            return None
        values = [say.part(value) for value in (node.this, *node.expressions)]
        return f"the {word} of {listed(values)}"

    return words


def _group_concat(say: Say, node: exp.Expr) -> str | None:
    if not has_only(node, "this", "separator") or isinstance(node.this, exp.Order):
        return None
    separator = node.args.get("separator")
    between = say.part(separator) if separator is not None else "','"
    return f"the texts of {_argument(say, node.this)} joined by {between}"


def _date_part(say: Say, node: exp.Expr) -> str | None:
    moment, form = node.this, node.args.get("format")
    if not has_only(node, "this", "format") or not isinstance(form, exp.Literal):
        return None
    if not isinstance(moment, exp.TsOrDsToTimestamp) or not has_only(moment, "this"):
        return None
    when = "now" if isinstance(moment.this, exp.CurrentTimestamp) else say.operand(moment.this)
    # sqlglot keeps the format of the SQL, so that it can be shown as it was written.
    part = _DATE_PARTS.get(form.name)
    return f"{part} ({say.value(form)}) of {when}" if part else f"{when} as {say.value(form)}"


def _substring(say: Say, node: exp.Expr) -> str | None:
    start, length = node.args.get("start"), node.args.get("length")
    if not has_only(node, "this", "start", "length") or start is None:
        return None
    upto = f", length {say.operand(length)}" if length is not None else " on"
    return f"the part of {say.operand(node.this)} (from position {say.operand(start)}{upto})"


def _position(say: Say, node: exp.Expr) -> str | None:
    if not has_only(node, "this", "substr"):
        return None
    return f"the position of {say.operand(node.args['substr'])} in {say.operand(node.this)}"


def _cast(say: Say, node: exp.Expr) -> str | None:
    if not has_only(node, "this", "to"):
        return None
    return f"{say.operand(node.this)} converted to {node.args['to'].sql('sqlite')}"


def _random(say: Say, node: exp.Expr) -> str | None:
    return "a random number" if has_only(node) else None


_WORDS: dict[type[exp.Expr], Callable[[Say, exp.Expr], str | None]] = {
    exp.Count: _count,
    exp.Round: _round,
    exp.Coalesce: _coalesce,
    exp.Least: _extreme("smallest"),
    exp.Greatest: _extreme("largest"),
    exp.GroupConcat: _group_concat,
    exp.TimeToStr: _date_part,
    exp.Substring: _substring,
    exp.StrPosition: _position,
    exp.Cast: _cast,
    exp.Rand: _random,
}
