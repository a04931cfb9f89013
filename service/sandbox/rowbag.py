"""A result in a few numbers: counts, hashes of its bag and sequence of rows, its first rows.

Standard library only. Rows are hashed as they stream, so memory does not grow with the result.
"""

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
    sequence: bytes = b""
    sample: list[str] = field(default_factory=list)

    def take(self, row: tuple[Any, ...]) -> int:
        """Count one row in; returns its approximate size in bytes."""
        text = repr(tuple([_rounded(v) for v in row] if float in map(type, row) else row))
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        self.bag = (self.bag + int.from_bytes(digest)) % _MODULUS
        self.sequence = blake2b(self.sequence + digest, digest_size=16).digest()
        self.count += 1
        self.only_nulls = self.only_nulls and all(v is None for v in row)
        if len(self.sample) < _SAMPLED:
            self.sample.append(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
        return 64 + len(text)

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
