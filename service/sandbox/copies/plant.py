"""Plant the literals of two queries in a copy, so that a small difference between them shows.

Two things are done. Cells of existing rows that a condition speaks of take values at and beside its
literals. And witnesses are added: for all tables of a query one row each, joined as the query joins
them, which satisfy all conditions, or all but one, or any; in groups of n - 1, n and n + 1 where a
count is compared with n; some without a partner, some with NULLs, some twice. Keys stay keys and
links stay links. Deterministic in the random generator. Standard library only.
"""

import sqlite3
from random import Random

from service.sandbox.copies.facts import Facts
from service.sandbox.copies.kinds import Kind
from service.sandbox.copies.pools import Pools
from service.sandbox.copies.schema import Schema
from service.sandbox.copies.store import Stores
from service.sandbox.copies.witness import Witness

_LARGEST_GROUP = 14


def plant(
    db: sqlite3.Connection,
    schema: Schema,
    facts: tuple[Facts, ...],
    kind: Kind,
    random: Random,
    variant: int = 0,
) -> None:
    """Change an open copy in place; an empty one stays so in its first variant."""
    facts = tuple(each for each in facts if each.tables)
    if (kind.empty == 1 and variant == 0) or not facts:
        return
    stores = Stores(db, schema)
    pools = Pools(facts, {table.name: table for table in schema.tables}, random)
    db.execute("BEGIN")
    _redraw(stores, pools, random)
    for each in facts:
        witness = Witness(each, stores, pools, kind, random)
        rounds = kind.witnesses if kind.variants == 1 else random.randint(1, 5)
        _single(witness, pools, kind, random, -(-rounds // len(facts)))
        if kind.variants == 1 or random.random() < 0.3:
            _grouped(witness, each, random)
            _many(witness, each, random)
    stores.write()
    db.execute("COMMIT")


def _redraw(stores: Stores, pools: Pools, random: Random) -> None:
    """Give conditioned cells of existing rows values around the literals."""
    share = random.choice((0.2, 0.4, 0.6))
    for (name, _, place), pool in pools.items():
        table = stores.table(name)
        if place not in table.key_columns | table.link_columns:
            stores[name].redraw(place, list(pool), share, random)


def _single(witness: Witness, pools: Pools, kind: Kind, random: Random, rounds: int) -> None:
    """Witnesses of all conditions (every fourth), of all but one, of any (every eighth)."""
    broken = pools.conditions()
    random.shuffle(broken)
    twice = 0.6 if kind.doubled else 0.2
    for number in range(rounds):
        target = broken[number % len(broken)] if broken and number % 4 else None
        omitted = random.choice(witness.instances) if random.random() < 0.2 else None
        witness.add(target, wild=number % 8 == 7, omitted=omitted)
        if random.random() < twice:
            witness.add(target, pins=witness.pins())


def _grouped(witness: Witness, facts: Facts, random: Random) -> None:
    """Groups of n - 1, n, n + 1 witnesses that share the grouping columns' values."""
    sizes = [size for n in facts.counts for size in (n - 1, n, n + 1, n + 2)]
    sizes = [size for size in sizes if 1 < size <= _LARGEST_GROUP] or [2, 3] * bool(facts.groups)
    random.shuffle(sizes)
    for size in sizes[:3]:
        witness.add()
        pins = witness.pins(facts.groups)
        for _ in range(size - 1):
            witness.add(pins=pins)


def _many(witness: Witness, facts: Facts, random: Random) -> None:
    """More rows than a LIMIT lets through, in half of the copies."""
    most = max((n for n in facts.counts if n <= _LARGEST_GROUP), default=0)
    if random.random() < 0.5:
        for _ in range(most + 1 if most else 0):
            witness.add()
