"""The longest part of a growing schema whose text fits into a number of tokens.

Looked for by the length of names, then by halves: every look writes and counts a text.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.text2sql.pruning import Growth
from service.text2sql.schema import Schema

_LOOKS, _GUESSES = 12, 5
_FULL = 0.97
"""A text of this share of the room is long enough."""
_COLUMN_SIGNS, _TABLE_SIGNS, _KEY_SIGNS = 6, 20, 30
"""Characters that stand beside the names of each."""


@dataclass(slots=True)
class Overflow(Exception):
    """Even the smallest text has `needed` tokens where there is room for `room`."""

    needed: int
    room: int


def longest_part(
    growth: Growth,
    render: Callable[[Schema], str],
    tokens: int,
    room: int,
    count: Callable[[str], int],
) -> tuple[Schema, str]:
    """As many steps of the growth as fit, and their text; `tokens` is the length of all of them.

    Calls `count` at most thirteen times. Raises Overflow when the first step alone does not fit.
    """
    costs = list(_costs(growth))
    low, high, steps = 0, len(growth.steps), len(growth.steps)
    best: tuple[Schema, str] | None = None
    for look in range(_LOOKS):
        guess = bisect_left(costs, room * costs[steps] / max(tokens, 1))
        steps = guess if look < _GUESSES else (low + high) // 2
        steps = min(max(steps, low + 1), high - 1)
        if steps <= low:
            break
        small, text, tokens = _look(growth, steps, render, count)
        if tokens > room:
            high = steps
            continue
        low, best = steps, (small, text)
        if tokens >= _FULL * room:
            break
    return best or _least(growth, render, room, count)


def _least(
    growth: Growth, render: Callable[[Schema], str], room: int, count: Callable[[str], int]
) -> tuple[Schema, str]:
    small, text, tokens = _look(growth, 1, render, count)
    if tokens > room:
        raise Overflow(tokens, room)
    return small, text


def _look(
    growth: Growth, steps: int, render: Callable[[Schema], str], count: Callable[[str], int]
) -> tuple[Schema, str, int]:
    small = growth.after(steps)
    text = render(small)
    return small, text, count(text)


def _costs(growth: Growth) -> Iterator[int]:
    """Characters after each number of steps, roughly, from 0 on."""
    tables, cost, seen = growth.schema.tables, 0, set()
    yield cost
    for step in growth.steps:
        for t, c in step:
            column = tables[t].columns[c]
            cost += len(column.name) + len(column.type) + _COLUMN_SIGNS
            if t not in seen:
                seen.add(t)
                cost += len(tables[t].name) + _TABLE_SIGNS
                cost += len(tables[t].foreign_keys) * _KEY_SIGNS
        yield cost
