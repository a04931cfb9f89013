"""In which order questions are asked: a function of their number and the seed alone."""

import random
from collections.abc import Iterator
from itertools import islice


def schedule(rows: int, prompts_per_step: int, steps: int, seed: int) -> list[int]:
    """Which row is asked when: `steps * prompts_per_step` indices, every pass shuffled anew.

    A function of its arguments alone, so a resumed run meets the same questions in the same order.
    Passes follow one another without a gap: no row is left out for want of a full step.
    """
    return list(islice(_passes(rows, seed), steps * prompts_per_step))


class Stream:
    """The same order without an end, for a stage that does not know how many rows it will ask.

    `Stream(rows, seed, cursor)` goes on exactly where a stream with that cursor stood.
    """

    def __init__(self, rows: int, seed: int, cursor: int = 0) -> None:
        if rows < 1 or cursor < 0:
            raise ValueError(f"needs rows >= 1 and cursor >= 0, has {rows} and {cursor}")
        self._rows, self._seed = rows, seed
        self._cursor = cursor
        self._order = islice(_passes(rows, seed), cursor, None)

    def at(self, cursor: int) -> "Stream":
        """The same stream with another cursor."""
        return Stream(self._rows, self._seed, cursor)

    @property
    def cursor(self) -> int:
        """How many rows were handed out since the first; all that has to be kept."""
        return self._cursor

    def next(self, count: int) -> list[int]:
        """The next `count` rows; one comes again only once a pass is over."""
        self._cursor += count
        return list(islice(self._order, count))


def _passes(rows: int, seed: int) -> Iterator[int]:
    order = list(range(rows))
    generator = random.Random(seed)  # noqa: S311 - an order, not a secret.
    while True:
        generator.shuffle(order)
        yield from order
