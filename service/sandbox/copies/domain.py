"""The values that a column may take in a copy: its own, and some beside them.

A domain stays within the column's form: whole numbers stay whole, dates stay dates, a flag stays a
flag. Only free text gets variants (other case, prefix, suffix, trailing space). Standard library
only.
"""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

Value = str | int | float | None
"""What a copy holds; blobs are kept as text of the form x'00' in domains, see `Domain.kind`."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_NUMERIC = re.compile(r"-?\d+(?:\.\d+)?")
_FLAGS = ({"y", "n"}, {"t", "f"}, {"yes", "no"}, {"true", "false"}, {"0", "1"}, {"m", "f"})
_MANY = 20
"""Values seen from which a column of two values is believed to have no third."""
_KEPT = 60
_MAX_INT = 2**53


@dataclass(frozen=True, slots=True)
class Domain:
    """One column's values.

    `kind`: int, real, text, date (ISO text), digits (text without letters: times, codes, phone
    numbers), blob. `closed` domains hold no other values than those seen.
    """

    kind: str
    values: list[str | int | float]
    closed: bool = False
    nulls: bool = False
    """The column has NULLs in the source."""
    decimals: int = 2

    def draw(self, random: Random) -> Value:
        """A value of the column's own, or one beside."""
        if self.closed or random.random() < 0.6:
            return random.choice(self.values)
        near = self.near(random.choice(self.edges() if random.random() < 0.3 else self.values))
        return random.choice(near) if near else random.choice(self.values)

    def edges(self) -> list[str | int | float]:
        """The least and the greatest value."""
        return [self.values[0], self.values[-1]]

    def near(self, value: str | int | float) -> list[str | int | float]:
        """Values beside this one, within the column's form."""
        if self.closed:
            return [own for own in self.values if own != value]
        if isinstance(value, str):
            return list(near_texts(value, self.kind))
        if isinstance(value, float) or self.kind == "real":
            return [round(value + step, self.decimals + 2) for step in (-1, -0.5, 0.5, 1)]
        low = 0 if value >= 0 else value - 1  # counts and years do not turn negative
        return [max(low, value - 1), value + 1] if abs(value) < _MAX_INT else []

    def fits(self, value: str | int | float) -> bool:
        """True if the value has the column's form."""
        if self.closed:
            return value in self.values
        if self.kind == "int":
            return isinstance(value, int)
        if self.kind == "real":
            return not isinstance(value, str)
        return isinstance(value, str) and self._same_form(value)

    def _same_form(self, text: str) -> bool:
        if self.kind == "date":
            return bool(_ISO.fullmatch(text)) and _form(text) in {
                _form(str(v)) for v in self.values
            }
        if self.kind == "digits":
            return _form(text) in {_form(str(v)) for v in self.values}
        return self.kind == "text"

    def fresh(self, number: int) -> str | int | float:
        """The value number `number` (from 0) beyond the column's greatest: for keys."""
        last = self.values[-1]
        if isinstance(last, int | float):
            return last + 1 + number
        if self.kind == "date":
            return _later(str(last), number + 1)
        if str(last).isdigit():
            return str(int(last) + 1 + number).zfill(len(last))
        return f"{self.values[number % len(self.values)]}{number + 1}"

    def spread(self, random: Random, number: int) -> Value:
        """A value that others hardly share: numbers and dates spread out, texts numbered."""
        if self.closed or not self.values:
            return self.draw(random)
        low, high = self.edges()
        if isinstance(low, int) and isinstance(high, int):
            return random.randint(low, max(high, low + 1000))
        if not isinstance(low, str) and not isinstance(high, str):
            return round(random.uniform(low, max(high, low + 100)), self.decimals)
        return self.fresh(random.randrange(1000)) if self.kind != "digits" else self.draw(random)


def domain_of(values: Sequence[object], affinity: str, declared: str, name: str) -> Domain:
    """The domain of sampled values; by declared type and name where there are none."""
    texts = [v for v in values if isinstance(v, str)]
    whole = [v for v in values if isinstance(v, int)]
    reals = [v for v in values if isinstance(v, float)]
    nulls = any(v is None for v in values)
    if any(isinstance(v, bytes) for v in values):
        return Domain("blob", [], nulls=nulls)
    if len(texts) >= len(whole) + len(reals) and texts:
        return Domain(_text_kind(texts), _some(texts), _closed_texts(texts), nulls)
    if reals:
        return Domain("real", _some([*reals, *whole]), False, nulls, _decimals(reals))
    if whole:
        closed = set(whole) <= {0, 1} and len(set(whole)) == 2
        kind = "real" if affinity == "real" else "int"
        return Domain(kind, _some(whole), closed, nulls)
    return _assumed(affinity, declared.lower(), name.lower(), nulls)


def _assumed(affinity: str, declared: str, name: str, nulls: bool) -> Domain:
    if "date" in declared or "time" in declared or "date" in name:
        clock = " 12:00:00" if "time" in declared else ""
        return Domain("date", [f"20{n:02}-0{n % 9 + 1}-1{n % 9}{clock}" for n in range(8, 20)])
    if "bool" in declared:
        return Domain("int", [0, 1], closed=True, nulls=nulls)
    if affinity == "real":
        return Domain("real", [float(n) for n in range(1, 13)], nulls=nulls)
    if affinity in ("int", "numeric"):
        return Domain("int", list(range(1, 13)), nulls=nulls)
    return Domain("text", [*(f"{name} {n}" for n in range(1, 10))], nulls=nulls)


def _some(values: Sequence[str | int | float]) -> list[str | int | float]:
    """At most _KEPT distinct values in order, the ends among them."""
    distinct: list[str | int | float] = sorted(dict.fromkeys(values))
    if len(distinct) <= _KEPT:
        return distinct
    last = len(distinct) - 1
    return [distinct[n * last // (_KEPT - 1)] for n in range(_KEPT)]


def _closed_texts(texts: Sequence[str]) -> bool:
    distinct = {text.lower() for text in texts}
    return len(distinct) == 2 and (len(texts) >= _MANY or distinct in _FLAGS)


def _text_kind(texts: Sequence[str]) -> str:
    if all(_ISO.fullmatch(text) for text in texts):
        return "date"
    plain = all(any(c.isdigit() for c in text) and not _letters(text) for text in texts)
    return "digits" if plain else "text"


def _letters(text: str) -> bool:
    return any(c.isalpha() for c in text)


def _form(text: str) -> str:
    # The number of digits of a plain number says nothing; that of a date or a code does.
    return "n" if _NUMERIC.fullmatch(text) else re.sub(r"\d", "9", text)


def _decimals(reals: Sequence[float]) -> int:
    return max(min(len(repr(value).partition(".")[2]), 6) for value in reals[:50])


def near_texts(text: str, kind: str = "text") -> dict[str, None]:
    """Texts easily taken for this one; for dates and digits, neighbours of the same form."""
    if kind == "date":
        found = [_later(text, days) for days in (-1, 1, -365, 365, -30, 30)]
    elif kind == "digits":
        found = [_next_digit(text, 1), _next_digit(text, -1)]
    else:
        found = [text.upper(), text.lower(), text.swapcase(), f"{text} ", f"{text}x", f"x{text}"]
        found += [text[:-1], text[1:], text[: len(text) // 2], text.title()]
    return dict.fromkeys(other for other in found if other and other != text)


def _next_digit(text: str, step: int) -> str:
    last = max((n for n, c in enumerate(text) if c in "0123456789"), default=-1)
    if last < 0 or not 0 <= int(text[last]) + step <= 9:
        return text
    return f"{text[:last]}{int(text[last]) + step}{text[last + 1 :]}"


def _later(text: str, days: int) -> str:
    try:
        day = datetime.date.fromisoformat(text[:10]) + datetime.timedelta(days=days)
    except (ValueError, OverflowError):
        return text
    return day.isoformat() + text[10:]
