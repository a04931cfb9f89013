"""Add the rows that sampled rows point to, so that joins of a sample are not empty.

Standard library only.
"""

from service.sandbox.copies.schema import Link, Schema, quoted
from service.sandbox.copies.source import Cell, Source, SourceTable

_PASSES = 5
_MOST = 400
"""Rows of one table, parents included."""
_AT_ONCE = 100


def add_parents(source: Source, schema: Schema, sources: dict[str, SourceTable]) -> None:
    """Read missing parents, theirs too; only tables that were not read whole can miss any."""
    for _ in range(_PASSES):
        grown = False
        for table in schema.tables:
            for link in table.links:
                parent = sources[link.parent]
                if not parent.whole and len(parent.rows) < _MOST:
                    grown |= _add(source, _missing(sources[table.name], link, parent), link, parent)
        if not grown:
            return


def _missing(child: SourceTable, link: Link, parent: SourceTable) -> list[tuple[Cell, ...]]:
    held = {tuple(row[place] for place in link.parent_columns) for row in parent.rows}
    wanted = dict.fromkeys(tuple(row[place] for place in link.columns) for row in child.rows)
    return [key for key in wanted if None not in key and key not in held]


def _add(source: Source, keys: list[tuple[Cell, ...]], link: Link, parent: SourceTable) -> bool:
    before = len(parent.rows)
    condition = " AND ".join(
        f"{quoted(parent.columns[place])} = ?" for place in link.parent_columns
    )
    for start in range(0, len(keys[:_MOST]), _AT_ONCE):
        chunk = keys[start : start + _AT_ONCE]
        tail = f"WHERE {' OR '.join([f'({condition})'] * len(chunk))} LIMIT {2 * _AT_ONCE}"
        parent.rows += source.read(parent, tail, [value for key in chunk for value in key])
    parent.rows = list(dict.fromkeys(parent.rows))
    return len(parent.rows) > before
