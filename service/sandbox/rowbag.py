"""A result in a few numbers: counts, hashes of its bag and sequence of rows, its first rows.

Standard library only. Rows are hashed as they stream, so memory does not grow with the result.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

_SAMPLED = 50  # first rows that are kept, to show one that differs
_SHOWN = 200  # characters of a shown row
_MODULUS = 2**128


@dataclass(slots=True)
class RowBag:
    """What is kept of a result: counts, hashes of the bag and of the sequence, the first rows."""

    columns: int = 0
    count: int = 0
    bag: int = 0
    only_nulls: bool = True
    elapsed_ms: float = 0.0
    """What the engine took, without the time to hash."""
    sample: list[str] = field(default_factory=list)
    _order: blake2b = field(default_factory=blake2b)

    def take(self, rows: Iterable[tuple[Any, ...]]) -> int:
        """Count rows in; returns their approximate size in bytes."""
        bag, count, size = 0, 0, 0
        order = self._order
        for row in rows:
            text = repr(tuple([_rounded(v) for v in row]) if float in map(type, row) else row)
            code = text.encode(errors="surrogatepass")
            bag += int.from_bytes(blake2b(code, digest_size=16).digest())
            order.update(code)
            size += len(code)
            count += 1
            if self.only_nulls and any(value is not None for value in row):
                self.only_nulls = False
            if len(self.sample) < _SAMPLED:
                self.sample.append(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
        self.bag = (self.bag + bag) % _MODULUS
        self.count += count
        return size + 64 * count

    @property
    def sequence(self) -> str:
        """Equal for equal rows in equal order."""
        return self._order.hexdigest()

    @property
    def digest(self) -> str:
        """Equal for equal bags of rows of equal width."""
        return f"{self.columns}-{self.count}-{self.bag:032x}"


def difference(one: RowBag, other: RowBag, how: str) -> str:
    """A line with a row that the other run did not give."""
    if one.count != other.count:
        return f"{how}: {one.count} rows, then {other.count}"
    only = next((row for row in one.sample if row not in other.sample), None)
    instead = next((row for row in other.sample if row not in one.sample), None)
    return f"{how}: {only}, then {instead}" if only and instead else f"{how}: other rows"


def _rounded(value: Any) -> Any:
    """Nine significant digits; whole numbers as integers, as a comparison would see them."""
    if not isinstance(value, float) or value - value != 0:
        return value
    value = float(f"{value:.9g}")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value
