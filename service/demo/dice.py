"""Seeded chance: the same label gives the same choices on every Python."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of choices of its own for each topic, so that one topic never shifts another.

    Everything is derived from `random.Random.random()`, the one method whose sequence Python
    promises to keep for a seed; `choice` and `shuffle` come without that promise.
    """

    def __init__(self, label: str) -> None:
        # No secret depends on these numbers; they have to be repeatable.
        self._next = random.Random(label).random  # noqa: S311

    def chance(self, probability: float) -> bool:
        """True with that probability (0 to 1)."""
        return self._next() < probability

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self._next() * (high - low + 1))

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + self._next() * (high - low)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, each as likely."""
        return items[int(self._next() * len(items))]

    def early(self, items: Sequence[T], draws: int) -> T:
        """The first of several picks: the more draws, the likelier the front of the sequence."""
        return items[int(min(self._next() for _ in range(draws)) * len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in another order."""
        order = sorted(range(len(items)), key=[self._next() for _ in items].__getitem__)
        return [items[i] for i in order]

    def day(self, first: date, last: date) -> date:
        """A day from first to last, both included."""
        return first + timedelta(days=self.whole(0, (last - first).days))
