"""Keys and links of a sampled database: the declared ones, and those that names and values show.

Many databases declare no key at all. A column that is named like a key and never repeats is kept
unique in copies; a column whose values are all keys of another table, and whose name says so (or
whose values are telling texts), keeps pointing there. Standard library only.
"""

import re
from collections.abc import Callable, Iterator

from service.sandbox.copies.domain import domain_of
from service.sandbox.copies.schema import Column, Link, Schema, Table, affinity
from service.sandbox.copies.source import Cell, SourceTable

_KEY_NAME = re.compile(r"(?:^|[_ ])(?:no|num|number|key|code)$|(?:id|uuid|isbn|ssn)$")
Holds = Callable[[SourceTable, int, set[Cell]], bool]
"""Whether a column of a table has all of these values, as far as can be told in time."""
_FEWEST_TELLING = 5
"""Distinct texts that must all be keys of another table before this counts without a name."""


def schema_of(sources: list[SourceTable], views: dict[str, str], holds: Holds) -> Schema:
    """The schema of the sampled tables, parents first; `holds` looks keys up in the source."""
    own = {s.columns[s.primary_key[0]].lower(): s.name for s in sources if len(s.primary_key) == 1}
    keys = {source.name: _keys(source, own) for source in sources}
    links = {source.name: list(_links(source, sources, keys, holds)) for source in sources}
    aimed = {(link.parent, link.parent_columns) for each in links.values() for link in each}
    for source in sources:
        # What points elsewhere repeats, though it may not in the rows that were read.
        guessed = [link.columns for link in links[source.name] if link.columns not in source.unique]
        keys[source.name] = [
            key for key in keys[source.name] if key not in guessed or (source.name, key) in aimed
        ]
    tables = [
        Table(
            source.name,
            tuple(_column(source, place, keys[source.name]) for place in _places(source)),
            tuple(keys[source.name]),
            tuple(links[source.name]),
            source.rowid,
        )
        for source in sources
    ]
    return Schema(tuple(_parents_first(tables)), views)


def _places(source: SourceTable) -> range:
    return range(len(source.columns))


def _column(source: SourceTable, place: int, keys: list[tuple[int, ...]]) -> Column:
    declared, name = source.declared[place], source.columns[place]
    kind = affinity(declared)
    keyed = any(place in key for key in keys)
    values = [row[place] for row in source.rows]
    domain = domain_of(values, kind, declared, name)
    return Column(name, kind, not (source.not_null[place] or keyed), domain)


def _keys(source: SourceTable, own: dict[str, str]) -> list[tuple[int, ...]]:
    """Declared keys, and undeclared ones of a single column.

    A column that points elsewhere, or is named as another table's primary key (`own`), is none.
    """
    keys = list(dict.fromkeys(source.unique))
    pointing = {place for columns, _, _ in source.foreign for place in columns}
    for place, name in enumerate(source.columns):
        if place in pointing or own.get(name.lower(), source.name) != source.name:
            continue
        if (place,) not in keys and _looks_like_key(source, place):
            keys.append((place,))
    return keys


def _looks_like_key(source: SourceTable, place: int) -> bool:
    values = [row[place] for row in source.rows]
    if len(values) < 2 or None in values or len(set(values)) < len(values):
        return False
    if not all(isinstance(value, int | str) for value in values):
        return False
    name, table = source.columns[place].lower(), source.name.lower().removesuffix("s")
    own = place == 0 and not source.primary_key and source.whole and name.startswith(table)
    return own or bool(_KEY_NAME.search(name))


def _links(
    source: SourceTable,
    sources: list[SourceTable],
    keys: dict[str, list[tuple[int, ...]]],
    holds: Holds,
) -> Iterator[Link]:
    by_name = {other.name.lower(): other for other in sources}
    declared: set[int] = set()
    for columns, parent_name, named in source.foreign:
        parent = by_name.get(parent_name.lower())
        places = parent and _parent_places(parent, named)
        if parent and places and len(places) == len(columns):
            declared |= set(columns)
            yield Link(columns, parent.name, places)
    for place in _places(source):
        if place not in declared:
            yield from _inferred(source, place, sources, keys, holds)


def _parent_places(parent: SourceTable, named: tuple[str, ...]) -> tuple[int, ...]:
    if not named:
        return parent.primary_key
    places = [parent.place(name) for name in named]
    return tuple(place for place in places if place is not None)


def _inferred(
    source: SourceTable,
    place: int,
    sources: list[SourceTable],
    keys: dict[str, list[tuple[int, ...]]],
    holds: Holds,
) -> Iterator[Link]:
    values = {row[place] for row in source.rows} - {None}
    if not values or any(isinstance(value, float | bytes) for value in values):
        return
    for parent in sources:
        for key in keys[parent.name]:
            if (
                len(key) == 1
                and parent is not source
                and _points(source, place, values, parent, key[0], holds)
            ):
                yield Link((place,), parent.name, key)
                return


def _points(
    source: SourceTable,
    place: int,
    values: set[Cell],
    parent: SourceTable,
    key: int,
    holds: Holds,
) -> bool:
    held = {row[key] for row in parent.rows}
    named = _named_after(source.columns[place], parent.columns[key], parent.name)
    if not parent.whole:
        # Only some of the parent's keys are known: the name must say it, and the file agree.
        return named and (place,) not in source.unique and holds(parent, key, values - held)
    if not values <= held or ((place,) in source.unique and held <= values):
        return False
    if named:
        return True
    texts = [value for value in values if isinstance(value, str) and len(value) > 2]
    return len(texts) == len(values) >= _FEWEST_TELLING


def _named_after(child: str, key: str, parent: str) -> bool:
    child, key, parent = (re.sub(r"[^a-z0-9]", "", word.lower()) for word in (child, key, parent))
    if len(key) > 2 and (child == key or child.endswith(key)):
        return True
    stem = parent.removesuffix("s")
    return len(stem) > 2 and child.endswith((stem, stem + key))


def _parents_first(tables: list[Table]) -> Iterator[Table]:
    """Every table once; a cycle is cut where it is met."""
    by_name = {table.name: table for table in tables}
    done: set[str] = set()

    for start in tables:
        stack = [start.name]
        while stack:
            table = by_name[stack[-1]]
            waiting = [
                link.parent
                for link in table.links
                if link.parent not in done and link.parent not in stack
            ]
            if waiting:
                stack.append(waiting[0])
                continue
            stack.pop()
            if table.name not in done:
                done.add(table.name)
                yield table
