"""A part of a schema that still can be joined: columns in order of relevance, keys always.

Columns are taken one after another. With a table come its primary key, the tables on the shortest
path of foreign keys to what was taken before, and the columns of every foreign key between tables
that are taken. So whatever is left out, two tables that could be joined still can.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from service.text2sql.relevance import Place
from service.text2sql.schema import ForeignKey, Schema, Table


@dataclass(frozen=True, slots=True)
class Growth:
    """What is taken when: `steps[i]` are the columns that come with the i-th, none twice."""

    schema: Schema
    steps: Sequence[Sequence[Place]]

    def after(self, steps: int) -> Schema:
        """The schema with the columns of the first `steps`, everything in its usual order."""
        kept: dict[int, set[int]] = {}
        for step in self.steps[:steps]:
            for table, column in step:
                kept.setdefault(table, set()).add(column)
        shown = {self.schema.tables[t].name for t in kept}
        tables = (_reduced(self.schema.tables[t], kept[t], shown) for t in sorted(kept))
        return replace(self.schema, tables=tuple(tables))


def grow(schema: Schema, order: Iterable[Place]) -> Growth:
    """Take the columns in that order; a column that already came with another makes no step."""
    taken = _Taken(schema)
    steps = (taken.take(place) for place in order)
    return Growth(schema, [step for step in steps if step])


class _Taken:
    """What is taken so far."""

    def __init__(self, schema: Schema) -> None:
        self._tables = schema.tables
        self._at = {table.name: t for t, table in enumerate(schema.tables)}
        self._columns = [
            {column.name.lower(): c for c, column in enumerate(table.columns)}
            for table in schema.tables
        ]
        self._joins: list[list[tuple[int, ForeignKey, int]]] = [[] for _ in schema.tables]
        for t, table in enumerate(schema.tables):
            for key in table.foreign_keys:
                if (parent := self._at.get(key.parent)) is not None:
                    self._joins[t].append((t, key, parent))
                    if parent != t:
                        self._joins[parent].append((t, key, parent))
        self._taken: set[Place] = set()
        self._in: set[int] = set()

    def take(self, place: Place) -> list[Place]:
        """Take one column and what comes with it; returns what is new."""
        if place in self._taken:
            return []
        new: dict[Place, None] = {place: None}
        if place[0] not in self._in:
            for table in self._path(place[0]):
                self._enter(table, new)
        fresh = [at for at in new if at not in self._taken]
        self._taken.update(fresh)
        return fresh

    def _enter(self, table: int, new: dict[Place, None]) -> None:
        self._in.add(table)
        keyed = (c for c, column in enumerate(self._tables[table].columns) if column.primary_key)
        new.update(dict.fromkeys((table, c) for c in keyed))
        for child, key, parent in self._joins[table]:
            if child in self._in and parent in self._in:
                new.update(dict.fromkeys(self._named(child, key.columns)))
                new.update(dict.fromkeys(self._named(parent, key.parent_columns)))

    def _named(self, table: int, columns: Iterable[str]) -> list[Place]:
        found = (self._columns[table].get(column.lower()) for column in columns)
        return [(table, column) for column in found if column is not None]

    def _path(self, start: int) -> list[int]:
        """Tables from `start` to the nearest that is taken; `start` alone if none is reached."""
        came: dict[int, int | None] = {start: None}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for child, _, parent in self._joins[here]:
                other = parent if child == here else child
                if other in self._in:
                    return _back(came, here)
                if other not in came:
                    came[other] = here
                    waiting.append(other)
        return [start]


def _back(came: dict[int, int | None], end: int) -> list[int]:
    path = []
    at: int | None = end
    while at is not None:
        path.append(at)
        at = came[at]
    return path


def _reduced(table: Table, kept: set[int], shown: set[str]) -> Table:
    columns = tuple(column for c, column in enumerate(table.columns) if c in kept)
    names = {column.name.lower() for column in columns}
    keys = tuple(
        key
        for key in table.foreign_keys
        if key.parent in shown and names.issuperset(column.lower() for column in key.columns)
    )
    return replace(table, columns=columns, foreign_keys=keys)
