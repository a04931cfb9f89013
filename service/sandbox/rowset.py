"""A hash of a result as BIRD compares it: a set of rows, order and duplicates left aside.

Standard library only. Two results have equal digests where `set(rows) == set(rows)` in Python,
which is what BIRD's evaluator asks (METRICS `bird_ex`): 1 equals 1.0, text never equals a number.
"""

from hashlib import blake2b
from typing import Any

_MODULUS = 2**128


class RowSet:
    """Takes rows one by one; `most` bounds the distinct ones that are told apart."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[bytes] = set()
        self._sum = 0

    def take(self, row: tuple[Any, ...]) -> bool:
        """Count a row in; False if there are too many distinct ones to go on."""
        # As Python's sets see them, a whole float and the integer of its value are one.
        plain = [int(v) if type(v) is float and v.is_integer() else v for v in row]
        key = blake2b(repr(plain).encode(errors="surrogatepass"), digest_size=16).digest()
        if key not in self._seen:
            self._seen.add(key)
            self._sum = (self._sum + int.from_bytes(key)) % _MODULUS
        return len(self._seen) <= self._most

    @property
    def digest(self) -> str:
        """Equal for equal sets of rows."""
        return f"{len(self._seen)}-{self._sum:032x}"
