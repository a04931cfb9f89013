"""Rows, one for each table that a query mentions, joined as the query joins them.

Standard library only.
"""

from collections.abc import Iterable, Iterator
from random import Random

from service.sandbox.copies.facts import Facts
from service.sandbox.copies.kinds import Kind
from service.sandbox.copies.pools import Aim, Pools
from service.sandbox.copies.scope import Ref
from service.sandbox.copies.source import Cell
from service.sandbox.copies.store import Stores

Pins = dict[Ref, Cell]
Instance = tuple[str, int]
_ALL = Aim()


class Joined:
    """Columns that the query makes equal, as sets; each set has one of its columns as its root."""

    def __init__(self, joins: Iterable[tuple[Ref, Ref]]) -> None:
        self._parents: Pins | dict[Ref, Ref] = {}
        self._roots: dict[Ref, Ref] = {}
        self._members: dict[Ref, list[Ref]] = {}
        for left, right in joins:
            self._unite(self.root(left), self.root(right))

    def root(self, ref: Ref) -> Ref:
        """The root of the set that the column is in; itself if it is in none."""
        return self._roots.get(ref, ref)

    def members(self, root: Ref) -> list[Ref]:
        """All columns of a set."""
        return self._members.get(root, [root])

    def _unite(self, left: Ref, right: Ref) -> None:
        if left == right:
            return
        self._members[left] = self.members(left) + self.members(right)
        for ref in self._members[left]:
            self._roots[ref] = left


class Witness:
    """Makes the rows of one witness after the other for the same query."""

    def __init__(
        self, facts: Facts, stores: Stores, pools: Pools, kind: Kind, random: Random
    ) -> None:
        self._stores = stores
        self._pools = pools
        self._kind = kind
        self._random = random
        self._joined = Joined(facts.joins)
        self._mentioned = frozenset(facts.mentioned)
        self.instances = list(facts.tables)
        self._active = {each: list(self._active_places(each)) for each in self.instances}
        self.values: Pins = {}

    def _active_places(self, instance: Instance) -> Iterator[tuple[int, Ref, list[Ref]]]:
        """Positions that need a decision: joined, conditioned, mentioned or key columns."""
        table = self._stores.table(instance[0])
        keys = table.key_columns
        for place in range(len(table.columns)):
            ref = (*instance, place)
            root = self._joined.root(ref)
            members = self._joined.members(root)
            active = len(members) > 1 or self._pools.has(ref) or ref in self._mentioned
            if active or place in keys:
                yield place, root, members

    def add(
        self,
        aim: Aim = _ALL,
        *,
        pins: Pins | None = None,
        omitted: Instance | None = None,
    ) -> None:
        """Add the rows; those of `omitted` are left out. `pins` are values given beforehand."""
        self.values = dict(pins or {})
        made = {each: self._row(each, aim) for each in self.instances}
        lost = self._lost(omitted) if omitted else frozenset()
        for instance, row in made.items():
            if instance != omitted:
                self._keep(instance, row, lost)
        for instance, row in made.items():
            if instance != omitted:
                for link in self._stores.table(instance[0]).links:
                    key = tuple(row[place] for place in link.columns)
                    self._stores.need_parent(link, key, self._random)

    def _lost(self, omitted: Instance) -> frozenset[Ref]:
        """Roots of the omitted row's keys: links to them can be NULL."""
        table = self._stores.table(omitted[0])
        return frozenset(self._joined.root((*omitted, place)) for place in table.key_columns)

    def _keep(self, instance: Instance, row: list[Cell], lost: frozenset[Ref]) -> None:
        store = self._stores[instance[0]]
        table = store.table
        fixed = frozenset(
            place
            for place, _, members in self._active[instance]
            if len(members) > 1 or self._pools.has((*instance, place))
        )
        for place in table.link_columns if self._kind.link_nulls else ():
            gone = self._joined.root((*instance, place)) in lost
            if gone or self._random.random() < self._kind.link_nulls:
                row[place] = None if table.columns[place].nullable else row[place]
        store.add(row, fixed)

    def _row(self, instance: Instance, aim: Aim) -> list[Cell]:
        row = self._stores[instance[0]].any_row(self._random)
        for place, root, members in self._active[instance]:
            if root not in self.values:
                value = self._pools.choose(members, aim)
                if value is None:
                    value = self._free(instance, place, members, row[place])  # type: ignore[assignment]
                self.values[root] = value
            row[place] = self.values[root]
        return row

    def _free(self, instance: Instance, place: int, members: list[Ref], own: Cell) -> Cell:
        """A value for cells that no condition speaks of."""
        keyed = self._keyed(members)
        if keyed and self._random.random() < (0.9 if self._kind.parents else 0.2):
            store = self._stores[keyed[0]]
            return store.any_key(keyed[1], self._random, self._kind.parents) or own
        if keyed:
            return self._stores[keyed[0]].fresh(keyed[1])
        column = self._stores.table(instance[0]).columns[place]
        few = self._kind.tied or (self._kind.parents and column.domain.kind == "text")
        linked = place in self._stores.table(instance[0]).link_columns
        if linked or not column.domain.values or few or self._random.random() < 0.3:
            return own
        textual = column.domain.kind in ("text", "date", "digits")
        share = self._kind.nulls if textual else self._kind.measured_nulls
        if column.nullable and len(members) == 1 and self._random.random() < share:
            return None
        if self._kind.spread:
            return column.domain.spread(self._random, 0)
        return column.domain.draw(self._random)

    def _keyed(self, members: list[Ref]) -> tuple[str, int] | None:
        """The first of these columns that is a key of its table by itself, and points nowhere."""
        for name, _, place in members:
            table = self._stores.table(name)
            if (place,) in table.keys and place not in table.link_columns:
                return name, place
        return None

    def pins(self, groups: tuple[Ref, ...] = ()) -> Pins:
        """Values of the last witness for another to share: a whole row, or the grouping columns'.

        A row with a key is then there once, and rows of the other tables point to it.
        """
        roots = {self._joined.root(ref) for ref in groups}
        held = {ref[:2] for ref in groups}
        if not groups:
            held = {self._random.choice(self.instances)}
        elif self._random.random() < 0.5:
            held = set()
        for instance in self.instances:
            if instance in held:
                roots |= {root for _, root, _ in self._active[instance]}
        return {root: value for root, value in self.values.items() if root in roots}
