"""Which questions of a file are asked."""

import hashlib
from collections.abc import Sequence

from service.errors import InvalidRequest
from service.text2sql.questions import Question

Placed = tuple[int, Question]
"""A question and its index in the file, from 0."""


def of_databases(questions: Sequence[Question], db_ids: Sequence[str]) -> list[Placed]:
    """Those about one of the databases, all where none is named; raises InvalidRequest."""
    known = {question.db_id for question in questions}
    for db_id in db_ids:
        if db_id not in known:
            raise InvalidRequest(
                f"--database {db_id}: no question of the file is about it; there are "
                f"{', '.join(sorted(known))}"
            )
    return [(n, q) for n, q in enumerate(questions) if not db_ids or q.db_id in db_ids]


def stratified(placed: Sequence[Placed], count: int, seed: int) -> list[Placed]:
    """`count` of them at random, each difficulty in its own share, in the file's order.

    Shares are rounded by largest remainder. The same arguments give the same questions on every
    machine and in every version: a hash of seed and place is the die.
    """

    def die(one: Placed) -> bytes:
        return hashlib.sha256(f"{seed} {one[0]}".encode()).digest()

    strata: dict[str, list[Placed]] = {}
    for one in placed:
        strata.setdefault(one[1].difficulty, []).append(one)
    sizes = _shares({name: len(rows) for name, rows in strata.items()}, count)
    chosen = [one for k, rows in strata.items() for one in sorted(rows, key=die)[: sizes[k]]]
    return sorted(chosen, key=lambda one: one[0])


def _shares(sizes: dict[str, int], count: int) -> dict[str, int]:
    whole = sum(sizes.values())
    count = min(count, whole)
    shares = {name: size * count // whole for name, size in sizes.items()}
    remainders = sorted(sizes, key=lambda name: -(sizes[name] * count % whole))
    for name in remainders[: count - sum(shares.values())]:
        shares[name] += 1
    return shares
