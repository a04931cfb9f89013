"""Ids that sort by the time they were made."""

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """`prefix`, `_` and 22 characters that sort by time (microseconds), then at random."""
    number = (time.time_ns() // 1000) << 50 | secrets.randbits(50)
    return f"{prefix}_" + "".join(_ALPHABET[number >> 5 * i & 31] for i in reversed(range(22)))
