"""For each column that a query's conditions speak of, the values to plant.

Standard library only.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from service.sandbox.copies.domain import Domain
from service.sandbox.copies.facts import Condition, Facts
from service.sandbox.copies.literals import Plain, candidates, satisfies
from service.sandbox.copies.schema import Table
from service.sandbox.copies.scope import Ref

Mode = Literal["all", "but", "only", "any"]


@dataclass(frozen=True, slots=True)
class Aim:
    """Which conditions a witness is to satisfy: all, all but the target, only the target, any."""

    mode: Mode = "all"
    target: Condition | None = None

    def wants(self, condition: Condition) -> bool:
        """Whether this condition is to hold."""
        return self.mode == "all" or (condition == self.target) == (self.mode == "only")


class Pools:
    """Conditions by column, and values at and beside their literals."""

    def __init__(self, facts: Sequence[Facts], tables: dict[str, Table], random: Random) -> None:
        self._random = random
        self._pools: dict[Ref, list[Plain]] = {}
        self._conditions: dict[Ref, list[Condition]] = {}
        self._fitting: dict[tuple[tuple[Ref, ...], str, int], list[Plain]] = {}
        for condition in dict.fromkeys(c for each in facts for c in each.conditions):
            self._conditions.setdefault(condition.cell, []).append(condition)
        for cell, conditions in self._conditions.items():
            domain = _domain(tables[cell[0]].columns[cell[2]].domain, conditions)
            found = (v for c in conditions for v in candidates(c, domain, random))
            self._pools[cell] = list(dict.fromkeys(found))

    def conditions(self) -> list[Condition]:
        """All conditions, in the order of the text."""
        return [c for known in self._conditions.values() for c in known]

    def items(self) -> list[tuple[Ref, list[Plain]]]:
        """Columns and their values, where there are any."""
        return [(ref, pool) for ref, pool in self._pools.items() if pool]

    def has(self, ref: Ref) -> bool:
        """True if there are values to plant in this column."""
        return bool(self._pools.get(ref))

    def choose(self, refs: list[Ref], aim: Aim) -> Plain | None:
        """A value for cells that are equal; None if no condition speaks of them.

        As far as one value can, it satisfies the conditions that it is to satisfy.
        """
        key = (tuple(refs), aim.mode, id(aim.target))
        if key not in self._fitting:
            self._fitting[key] = self._fit(refs, aim)
        fitting = self._fitting[key]
        return self._random.choice(fitting) if fitting else None

    def _fit(self, refs: list[Ref], aim: Aim) -> list[Plain]:
        pool = [value for ref in refs for value in self._pools.get(ref, ())]
        known = [c for ref in refs for c in self._conditions.get(ref, ())]
        if aim.mode == "any" or not pool:
            return pool
        holds = {v: [satisfies(c, v) for c in known] for v in pool}
        wanted = [aim.wants(c) for c in known]
        fitting = [v for v in pool if holds[v] == wanted]
        if not fitting and aim.target in known:
            place = known.index(aim.target)
            fitting = [v for v in pool if holds[v][place] == wanted[place]]
        return fitting or [v for v in pool if any(holds[v]) == any(wanted)] or pool


def _domain(domain: Domain, conditions: list[Condition]) -> Domain:
    """The column's domain, opened where the queries do not rely on a text having two values.

    `sex = 'F'` and `sex <> 'M'` name both: one may stand for the other. `sex = 'F'` and
    `sex LIKE '%F%'` name one, and other texts tell them apart.
    """
    named = {value for condition in conditions for value in condition.values}
    if domain.kind == "text" and domain.closed and not set(domain.values) <= named:
        return replace(domain, closed=False)
    return domain
