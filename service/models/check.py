"""One thing that a model is asked before it goes live."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`value` and `limit` are in the unit of `name`."""

    name: str
    passed: bool
    value: float | None
    limit: float | None
    detail: str = ""
