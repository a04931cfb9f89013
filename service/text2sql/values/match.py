"""A value of the database that a question seems to name."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """`value` stands in `table`.`column` as it is written here; the question says `phrase`."""

    table: str
    column: str
    value: str
    phrase: str
    score: float
    """0..1: how alike phrase and value are; 1 is equal but for case and blanks."""
