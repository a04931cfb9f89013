"""Make the rows of one altered copy. Deterministic in the random generator. Standard library only.

Parents are made before their children, so that a child can point to what is there. Links that a
cycle leaves open, and rows that a CHECK refuses, are settled by the engine when it writes them.
"""

from collections.abc import Iterator
from random import Random

from service.sandbox.copies.kinds import Kind
from service.sandbox.copies.schema import Link, Schema, Table
from service.sandbox.copies.source import Cell, Row

_ENOUGH = 12
"""A table with fewer rows in its source gets at least so many."""


class Maker:
    """The rows of one copy, table by table."""

    def __init__(
        self, schema: Schema, sampled: dict[str, list[Row]], kind: Kind, random: Random
    ) -> None:
        self._schema = schema
        self._sampled = sampled
        self._kind = kind
        self._random = random
        self._made: dict[str, list[list[Cell]]] = {}

    def rows(self) -> dict[str, list[list[Cell]]]:
        """Rows by table; those of a link into a later table may point to nothing."""
        for table in self._schema.tables:
            self._made[table.name] = [] if self._left_empty() else self._table(table)
        return self._made

    def _left_empty(self) -> bool:
        return self._random.random() < self._kind.empty

    def _table(self, table: Table) -> list[list[Cell]]:
        base = list(self._sampled[table.name]) or [(None,) * len(table.columns)] * _ENOUGH
        self._random.shuffle(base)
        bounded = base[: self._kind.rows]
        if self._kind.name != "resampled":
            wanted = self._wanted(len(bounded))
            bounded = [base[n % len(base)] for n in range(wanted)]
        rows = Rows(table)
        few = Few(table, self._kind, self._random)
        for row in self._repeated(bounded):
            cells = self._cells(table, list(row), few)
            self._link(table, cells)
            rows.add(cells, self._random)
        return rows.kept

    def _wanted(self, own: int) -> int:
        if self._kind.spread or self._kind.rows < _ENOUGH:
            return self._kind.rows
        return max(_ENOUGH, own)

    def _repeated(self, base: list[Row]) -> Iterator[Row]:
        for row in base:
            yield row
            if self._kind.doubled:
                yield row

    def _cells(self, table: Table, cells: list[Cell], few: "Few") -> list[Cell]:
        """The row's cells, some of them drawn anew."""
        empty = not self._sampled[table.name]
        for place, column in enumerate(table.columns):
            if not column.domain.values:
                continue
            if few.has(place):
                cells[place] = few.draw(place)
            elif self._kind.spread and self._random.random() < self._kind.redrawn:
                cells[place] = column.domain.spread(self._random, len(cells))
            elif empty or self._random.random() < self._kind.redrawn:
                cells[place] = column.domain.draw(self._random)
            linked = place in table.link_columns
            textual = column.domain.kind in ("text", "date", "digits")
            share = self._kind.nulls if textual else self._kind.measured_nulls
            share = self._kind.link_nulls if linked else share
            if column.nullable and self._random.random() < share:
                cells[place] = None
        return cells

    def _link(self, table: Table, cells: list[Cell]) -> None:
        """Point the row's links to rows that were made, where it pointed nowhere or is redrawn."""
        for link in table.links:
            parents = self._made.get(link.parent)
            if not parents or None in (cells[place] for place in link.columns):
                continue
            keys = [tuple(row[place] for place in link.parent_columns) for row in parents]
            held = tuple(cells[place] for place in link.columns)
            if self._kind.name == "resampled" and held in keys:
                continue
            for place, value in zip(link.columns, self._parent(link, keys), strict=True):
                cells[place] = value

    def _parent(self, link: Link, keys: list[tuple[Cell, ...]]) -> tuple[Cell, ...]:
        allowed = keys[: self._kind.parents]
        if self._kind.spread or self._random.random() < 0.3:
            # Skewed: the first parents have most of the children, so that groups differ in size.
            return allowed[int(len(allowed) * self._random.random() ** 3)]
        return self._random.choice(allowed)


class Rows:
    """Rows of one table whose keys do not repeat."""

    def __init__(self, table: Table, kept: list[list[Cell]] | None = None) -> None:
        self.kept = kept if kept is not None else []
        self._table = table
        self._seen: list[set[tuple[Cell, ...]]] = [
            {tuple(row[place] for place in key) for row in self.kept} for key in table.keys
        ]
        self._fresh = [0] * len(table.columns)

    def add(self, cells: list[Cell], random: Random) -> bool:
        """Keep the row, with other key values where its own are taken; False if there are none."""
        for key, seen in zip(self._table.keys, self._seen, strict=True):
            if not self._renew(cells, key, seen, random):
                return False
        for key, seen in zip(self._table.keys, self._seen, strict=True):
            seen.add(tuple(cells[place] for place in key))
        self.kept.append(cells)
        return True

    def _renew(
        self,
        cells: list[Cell],
        key: tuple[int, ...],
        seen: set[tuple[Cell, ...]],
        random: Random,
    ) -> bool:
        own = [place for place in key if place not in self._table.link_columns]
        for _ in range(200):
            values = tuple(cells[place] for place in key)
            if values not in seen and None not in values:
                return True
            if not own:
                return False
            place = random.choice(own)
            cells[place] = self.fresh(place)
        return False

    def fresh(self, place: int) -> Cell:
        """A value that the column has not had."""
        domain = self._table.columns[place].domain
        if not domain.values:
            return f"x{len(self.kept)}-{self._fresh[place]}".encode()
        self._fresh[place] += 1
        return domain.fresh(self._fresh[place] - 1)


class Few:
    """The columns of a table that take few values in a copy, and those values."""

    def __init__(self, table: Table, kind: Kind, random: Random) -> None:
        self._random = random
        self._values: dict[int, list[Cell]] = {}
        for place, column in enumerate(table.columns):
            texts = kind.parents and column.domain.kind == "text"
            if column.domain.values and (kind.tied or texts):
                count = kind.parents or random.choice((1, 1, 2, 3))
                self._values[place] = [column.domain.draw(random) for _ in range(count)]

    def has(self, place: int) -> bool:
        """True if the column takes few values."""
        return place in self._values

    def draw(self, place: int) -> Cell:
        """One of the column's few values, the first of them most often."""
        values = self._values[place]
        return values[int(len(values) * self._random.random() ** 1.5)]
