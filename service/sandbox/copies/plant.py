"""Plant the literals of two queries in a copy, so that a small difference between them shows.

Two things are done. Cells of existing rows that a condition speaks of take values at and beside its
literals. And witnesses are added: for all tables of a query one row each, joined as the query joins
them, which satisfy all conditions, or all but one, or any; in groups of n - 1, n and n + 1 where a
count is compared with n; some without a partner, some with NULLs, some twice. Keys stay keys and
links stay links. Deterministic in the random generator. Standard library only.
"""

import sqlite3
from dataclasses import replace
from random import Random

from service.sandbox.copies.facts import Facts
from service.sandbox.copies.kinds import Kind
from service.sandbox.copies.pools import Aim, Mode, Pools
from service.sandbox.copies.schema import Schema
from service.sandbox.copies.store import Stores
from service.sandbox.copies.witness import Witness

_MODES: tuple[Mode, ...] = ("all", "but", "only", "but", "all", "but", "any")
_LARGEST_GROUP = 14
_FEW = (1, 1, 2, 3, 5)
"""Rounds of witnesses where all rows are to be few."""


def plant(
    db: sqlite3.Connection,
    schema: Schema,
    facts: tuple[Facts, ...],
    kind: Kind,
    random: Random,
    variant: int = 0,
) -> None:
    """Change an open copy in place; an empty one stays so in its first variant."""
    mentioned = tuple(dict.fromkeys(ref for each in facts for ref in each.mentioned))
    facts = tuple(replace(each, mentioned=mentioned) for each in facts if each.tables)
    if (kind.empty == 1 and variant == 0) or not facts:
        return
    stores = Stores(db, schema)
    pools = Pools(facts, {table.name: table for table in schema.tables}, random)
    start = random.randrange(8)
    db.execute("BEGIN")
    _redraw(stores, pools, random)
    for each in facts:
        witness = Witness(each, stores, pools, kind, random)
        rounds = _rounds(kind, variant, random)
        loose = Witness(_loosened(each, random), stores, pools, kind, random)
        for number in range(-(-rounds // len(facts))):
            some = loose if each.joins and random.random() < 0.3 else witness
            _single(some, pools, kind, random, number + start)
        if not kind.sparse or random.random() < 0.3:
            _grouped(witness, each, random)
            _many(witness, each, random)
    stores.write()
    db.execute("COMMIT")


def _rounds(kind: Kind, variant: int, random: Random) -> int:
    """One for a first look at rows by themselves, then a few, where rows are to be few."""
    if not kind.sparse:
        return kind.witnesses
    return 1 if variant == 1 else random.choice(_FEW)


def _redraw(stores: Stores, pools: Pools, random: Random) -> None:
    """Give conditioned cells of existing rows values around the literals."""
    share = random.choice((0.2, 0.4, 0.6))
    for (name, _, place), pool in pools.items():
        table = stores.table(name)
        if place not in table.key_columns | table.link_columns:
            stores[name].redraw(place, list(pool), share, random)


def _loosened(facts: Facts, random: Random) -> Facts:
    """The facts without one of the joins: it may stand in an OR, or be on the wrong column."""
    joins = list(facts.joins)
    if joins:
        joins.pop(random.randrange(len(joins)))
    return replace(facts, joins=tuple(joins))


def _single(witness: Witness, pools: Pools, kind: Kind, random: Random, number: int) -> None:
    """A witness of all conditions, of all but one, of only one, or of any."""
    conditions = pools.conditions()
    mode = _MODES[number % len(_MODES)] if conditions else "all"
    aim = Aim(mode, random.choice(conditions) if conditions else None)
    omitted = random.choice(witness.instances) if random.random() < 0.2 else None
    witness.add(aim, omitted=omitted)
    if random.random() < (0.6 if kind.doubled else 0.2):
        witness.add(aim, pins=witness.pins())


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
