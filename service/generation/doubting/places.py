"""Where a schema has a noun: columns by their whole name and by its last word, and which are one.

Kept for each schema, as vocabulary.py is.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from typing import TypeVar

from service.generation.doubting.vocabulary import Same
from service.generation.doubting.words import Token, name_parts
from service.text2sql.schema import Column, Schema, Table

K = TypeVar("K")

_KEPT = 64
LONGEST = 5
"""Words of a name that are looked for together."""
_NUMERIC = re.compile(r"int|real|floa|doub|num|dec|money", re.IGNORECASE)
_LABELS = frozenset(
    "id key code year number no num phone zip fax date time month day status flag version".split()
)


@dataclass(frozen=True, slots=True)
class Place:
    """A column of a table."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class Places:
    """Columns by their names' words, in the singular and without the table's own."""

    whole: Mapping[tuple[str, ...], tuple[Place, ...]]
    heads: Mapping[tuple[str, ...], tuple[Place, ...]]
    """By the last words, one or more, of names that have further words before."""
    parts: Mapping[Place, tuple[str, ...]]
    linked: frozenset[tuple[Place, Place]]
    """Pairs that foreign keys join, both ways round."""
    keys: frozenset[Place]
    measures: Mapping[str, tuple[Place, ...]]
    """Table to its columns that count or measure something: numbers, no keys, no codes."""

    def groups(self, places: Sequence[Place]) -> list[list[Place]]:
        """Columns that mean the same together: joined by a key, or keys of one name."""
        groups: list[list[Place]] = []
        for place in places:
            own = [g for g in groups if any(self.same(place, other) for other in g)]
            groups = [g for g in groups if g not in own] + [[*chain.from_iterable(own), place]]
        return groups

    def same(self, one: Place, other: Place) -> bool:
        """Whether two columns hold the same thing, as far as keys tell."""
        named = self.parts[one] == self.parts[other] and {one, other} & self.keys
        return (one, other) in self.linked or bool(named)


def places(schema: Schema) -> Places:
    """Made once while the schema object is in use."""
    return _kept(Same(schema))


def mentions(question: Sequence[Token], known: Places) -> dict[tuple[int, int], tuple[Place, ...]]:
    """Whole names of columns in the question, the longest first, none within another."""
    nouns = tuple(token.noun for token in question)
    found: dict[tuple[int, int], tuple[Place, ...]] = {}
    taken: set[int] = set()
    for size in range(LONGEST, 0, -1):
        for start in range(len(nouns) - size + 1):
            span = range(start, start + size)
            if taken.isdisjoint(span) and (at := known.whole.get(nouns[start : start + size])):
                found[start, start + size] = at
                taken.update(span)
    return found


@lru_cache(maxsize=_KEPT)
def _kept(key: Same) -> Places:
    whole: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    heads: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    parts: dict[Place, tuple[str, ...]] = {}
    keys: set[Place] = set()
    for table in key.schema.tables:
        for column in table.columns:
            place = Place(table.name, column.name)
            words = parts[place] = _own_words(table, column)
            if column.primary_key:
                keys.add(place)
            whole[words].append(place)
            for start in range(1, len(words)):
                heads[words[start:]].append(place)
    whole.pop((), None)
    linked = _linked(key.schema)
    keys.update(place for pair in linked for place in pair)
    measures = {table.name: _measures(table, keys, parts) for table in key.schema.tables}
    return Places(_fixed(whole), _fixed(heads), parts, linked, frozenset(keys), measures)


def _fixed(found: Mapping[K, list[Place]]) -> dict[K, tuple[Place, ...]]:
    return {words: tuple(at) for words, at in found.items()}


def _own_words(table: Table, column: Column) -> tuple[str, ...]:
    """Without the table's name in front: customer.customer_name is its name."""
    words, own = name_parts(column.name), name_parts(table.name)
    return words[len(own) :] if words[: len(own)] == own and len(words) > len(own) else words


def _linked(schema: Schema) -> frozenset[tuple[Place, Place]]:
    known = {
        (table.name.casefold(), column.name.casefold()): Place(table.name, column.name)
        for table in schema.tables
        for column in table.columns
    }
    children: dict[Place, list[Place]] = defaultdict(list)
    for table in schema.tables:
        for key in table.foreign_keys:
            for one, other in zip(key.columns, key.parent_columns, strict=False):
                child = known.get((table.name.casefold(), one.casefold()))
                parent = known.get((key.parent.casefold(), other.casefold()))
                if child and parent:
                    children[parent].append(child)
    pairs = {
        pair for parent, found in children.items() for pair in combinations([parent, *found], 2)
    }
    return frozenset(pairs | {(b, a) for a, b in pairs})


def _measures(
    table: Table, keys: set[Place], parts: Mapping[Place, tuple[str, ...]]
) -> tuple[Place, ...]:
    found = []
    for column in table.columns:
        place = Place(table.name, column.name)
        numeric = _NUMERIC.search(column.type) and place not in keys
        if numeric and not _LABELS.intersection(parts[place]):
            found.append(place)
    return tuple(found)
