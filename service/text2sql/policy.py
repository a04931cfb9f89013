"""What a verifier does where a task does not say."""

from dataclasses import dataclass

from service.text2sql.types import Flag


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of one verifier."""

    reject_flags: frozenset[Flag] = frozenset()
    """Flags that turn a match into reward 0."""
    cache_bytes: int = 64 * 2**20
    """Memory for verdicts that are kept; 0 keeps none."""
