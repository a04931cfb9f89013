"""For each column that a query's conditions speak of, the values to plant.

Standard library only.
"""

from collections.abc import Sequence
from random import Random

from service.sandbox.copies.facts import Condition, Facts
from service.sandbox.copies.literals import Plain, candidates, satisfies
from service.sandbox.copies.schema import Table
from service.sandbox.copies.scope import Ref


class Pools:
    """Conditions by column, and values at and beside their literals."""

    def __init__(self, facts: Sequence[Facts], tables: dict[str, Table], random: Random) -> None:
        self._random = random
        self._pools: dict[Ref, list[Plain]] = {}
        self._conditions: dict[Ref, list[Condition]] = {}
        self._fitting: dict[tuple[tuple[Ref, ...], int | None, bool], list[Plain]] = {}
        for condition in dict.fromkeys(c for each in facts for c in each.conditions):
            name, _, place = condition.cell
            domain = tables[name].columns[place].domain
            self._conditions.setdefault(condition.cell, []).append(condition)
            pool = self._pools.setdefault(condition.cell, [])
            pool += [v for v in candidates(condition, domain, random) if v not in pool]

    def conditions(self) -> list[Condition]:
        """All conditions, in the order of the text."""
        return [c for known in self._conditions.values() for c in known]

    def items(self) -> list[tuple[Ref, list[Plain]]]:
        """Columns and their values, where there are any."""
        return [(ref, pool) for ref, pool in self._pools.items() if pool]

    def has(self, ref: Ref) -> bool:
        """True if there are values to plant in this column."""
        return bool(self._pools.get(ref))

    def choose(self, refs: list[Ref], target: Condition | None, wild: bool) -> Plain | None:
        """A value for cells that are equal; None if no condition speaks of them.

        It satisfies every condition, or every one but `target`, as far as one value can; any value
        of the pool when `wild`.
        """
        key = (tuple(refs), None if wild else id(target), wild)
        if key not in self._fitting:
            self._fitting[key] = self._fit(refs, target, wild)
        fitting = self._fitting[key]
        return self._random.choice(fitting) if fitting else None

    def _fit(self, refs: list[Ref], target: Condition | None, wild: bool) -> list[Plain]:
        pool = [value for ref in refs for value in self._pools.get(ref, ())]
        known = [c for ref in refs for c in self._conditions.get(ref, ())]
        if wild or not pool:
            return pool
        holds = {v: [satisfies(c, v) for c in known] for v in pool}
        wanted = [c is not target for c in known]
        fitting = [v for v in pool if holds[v] == wanted]
        if not fitting and target in known:
            fitting = [v for v in pool if not holds[v][known.index(target)]]
        return fitting or [v for v in pool if any(holds[v])] or pool
