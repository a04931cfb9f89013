"""Values at and beside a query's literals, and whether they satisfy its condition.

For a number v: v - 1, v, v + 1, in columns of real numbers also v - 0.5 and v + 0.5. For a text:
itself, other case, with a prefix or suffix, in part. For a LIKE pattern: texts that match and texts
that nearly do. All within the column's form (domain.py). Standard library only.
"""

import re
from collections.abc import Iterator
from random import Random

from service.sandbox.copies.domain import Domain, Value, near_texts
from service.sandbox.copies.facts import Condition

Plain = str | int | float
_ORDERS = frozenset({"<", ">", "<=", ">="})


def candidates(condition: Condition, domain: Domain, random: Random) -> list[Plain]:
    """Values to plant for the condition, within the domain."""
    if "ARITHMETIC" in condition.function:
        return []
    found: dict[Plain, None] = {}
    for value in condition.values:
        for candidate in _around(condition, value, domain, random):
            if domain.fits(candidate):
                found[candidate] = None
    return list(found)


def _around(condition: Condition, value: Plain, domain: Domain, random: Random) -> Iterator[Plain]:
    if domain.kind in ("int", "real"):
        yield from _numbers(value, domain)
    elif domain.kind == "blob":
        return
    elif condition.op in ("LIKE", "GLOB"):
        yield from _patterns(str(value), domain, random)
    elif condition.function:
        yield from _through_function(condition.function, value, domain, random)
    else:
        yield from _texts(value, domain)


def _numbers(value: Plain, domain: Domain) -> Iterator[Plain]:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return
    if abs(value) > 1e15:
        return
    if domain.kind == "real" or domain.closed:
        yield from (value + step for step in (0, -1, -0.5, 0.5, 1))
    else:
        whole = int(value // 1)
        yield from (whole + step for step in (0, -1, 1))


def _texts(value: Plain, domain: Domain) -> Iterator[Plain]:
    text = str(value)
    if domain.kind == "date" and not domain.fits(text):
        yield from _grafted(text, 0, domain)
        return
    yield text
    yield from near_texts(text, domain.kind)


def _grafted(text: str, start: int, domain: Domain) -> Iterator[Plain]:
    """The column's own values with the text, and its neighbours, put in at `start`."""
    for own in map(str, domain.values[:: max(1, len(domain.values) // 4)]):
        for part in (text, *near_texts(text, "digits")):
            yield own[:start] + part + own[start + len(part) :]


_FORMATS = {"%Y": 0, "%Y-%m": 0, "%m": 5, "%d": 8, "%H": 11, "%M": 14, "%Y-%m-%d": 0}


def _through_function(
    function: str, value: Plain, domain: Domain, random: Random
) -> Iterator[Plain]:
    text = str(value)
    if found := re.match(r"STRFTIME\((%[^)]*)\)", function):
        if found[1] in _FORMATS:
            yield from _grafted(text.zfill(2), _FORMATS[found[1]], domain)
    elif found := re.match(r"SUBSTR(?:ING)?\((\d+)", function):
        yield from _grafted(text, max(0, int(found[1]) - 1), domain)
    elif function.startswith("LENGTH") and isinstance(value, int) and 0 <= value < 100:
        own = str(random.choice(domain.values)) * 100
        yield from (own[:length] for length in (value, value + 1, max(0, value - 1)))
    elif function.startswith("CAST"):
        for number in _numbers(value, Domain("int", [])):
            yield from (str(number), str(number).zfill(len(str(domain.values[0]))))
    elif function.startswith(("DATE", "DATETIME")):
        yield from _grafted(text, 0, domain)
    else:
        yield from _texts(value, domain)


def _patterns(pattern: str, domain: Domain, random: Random) -> Iterator[Plain]:
    plain = re.sub(r"[%*]", "", pattern)
    parts = [part for part in re.split(r"[%*]", pattern) if part]
    filled = "".join(random.choice("abc") if c in "_?" else c for c in plain)
    if domain.kind in ("date", "digits"):
        start = pattern[:1] in "%*"
        for own in map(str, domain.values[:: max(1, len(domain.values) // 4)]):
            yield own
            at = len(own) - len(filled) if start else 0
            yield own[:at] + filled + own[at + len(filled) :]
        return
    yield filled
    yield from (filled.swapcase(), f"{filled}b", f"a{filled}", f"a{filled}b")
    yield from (filled[:-1], filled[1:])
    if len(parts) > 1:
        yield from ("b".join(parts), "".join(reversed(parts)), parts[0], parts[-1])
    own = str(random.choice(domain.values))
    yield from (own + filled, filled + own, own[: len(own) // 2] + filled + own[len(own) // 2 :])


def satisfies(condition: Condition, value: Value) -> bool:
    """Whether a value satisfies the condition, roughly: functions are taken as the identity."""
    if value is None:
        return False
    if condition.op in ("LIKE", "GLOB"):
        return _like(str(condition.values[0]), str(value)) != condition.negated
    held = any(
        _compare(condition.op, _seen(condition.function, value), v) for v in condition.values
    )
    return held != condition.negated


def _seen(function: str, value: Plain) -> Plain:
    """The value as the condition's function shows it."""
    text = str(value)
    if found := re.match(r"STRFTIME\((%[^)]*)\)", function):
        start = _FORMATS.get(found[1], 0)
        return text[start : start + {"%Y": 4, "%Y-%m": 7, "%Y-%m-%d": 10}.get(found[1], 2)]
    if found := re.match(r"SUBSTR(?:ING)?\((\d+)(?:,(\d+))?", function):
        start = max(0, int(found[1]) - 1)
        return text[start : start + int(found[2])] if found[2] else text[start:]
    known: dict[str, Plain] = {
        "LOWER": text.lower(),
        "UPPER": text.upper(),
        "LENGTH": len(text),
        "TRIM": text.strip(),
    }
    return known.get(function.split(" ", maxsplit=1)[0], value)


def _compare(op: str, left: Plain, right: Plain) -> bool:
    if isinstance(left, str) != isinstance(right, str):
        left, right = _same_kind(left, right)
    if op in _ORDERS:
        below, equal = bool(left < right), left == right  # type: ignore[operator]
        return {"<": below, "<=": below or equal, ">": not below and not equal}.get(op, not below)
    return (left == right) == (op != "<>")


def _same_kind(left: Plain, right: Plain) -> tuple[Plain, Plain]:
    try:
        return float(left), float(right)
    except ValueError:
        return str(left), str(right)


def _like(pattern: str, text: str) -> bool:
    """LIKE by greedy segments between the wildcards %: linear in practice, no backtracking."""
    pieces = re.split(r"[%*]", pattern.lower())
    text = text.lower()
    if len(pieces) == 1:
        return len(text) == len(pieces[0]) and _piece_at(pieces[0], text, 0)
    if not _piece_at(pieces[0], text, 0):
        return False
    at = len(pieces[0])
    for piece in pieces[1:-1]:
        places = (n for n in range(at, len(text) - len(piece) + 1) if _piece_at(piece, text, n))
        if (found := next(places, None)) is None:
            return False
        at = found + len(piece)
    last = len(text) - len(pieces[-1])
    return last >= at and _piece_at(pieces[-1], text, last)


def _piece_at(piece: str, text: str, at: int) -> bool:
    part = text[at : at + len(piece)]
    return len(part) == len(piece) and all(p in ("_", c) for p, c in zip(piece, part, strict=True))
