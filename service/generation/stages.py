"""What the generator reports while it works."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

StageName = Literal["schema", "generating", "checking", "repairing", "executing"]


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage begins; `detail` is a few words on what it works with."""

    stage: StageName
    detail: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The next piece of the text of the candidate number `index`."""

    index: int
    text: str


Report = Callable[[Stage | Piece], None]


def unreported(_event: Stage | Piece) -> None:
    """For callers that wait for the answer alone."""
