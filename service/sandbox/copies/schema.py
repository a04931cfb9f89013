"""What planting and building must know of a database: columns, keys, links between tables.

Positions count the columns that can be written; generated columns have none. Standard library only.
"""

from dataclasses import asdict, dataclass
from typing import Any

from service.sandbox.copies.domain import Domain


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can be written; `nullable` is False for NOT NULL and for every key column."""

    name: str
    affinity: str
    nullable: bool
    domain: Domain


@dataclass(frozen=True, slots=True)
class Link:
    """`columns` hold a key of `parent`: declared, or inferred from names and values."""

    columns: tuple[int, ...]
    parent: str
    parent_columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `keys` are sets of columns whose values together never repeat."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[tuple[int, ...], ...] = ()
    links: tuple[Link, ...] = ()
    rowid: str | None = None
    """A name of the rowid; None for WITHOUT ROWID."""

    @property
    def key_columns(self) -> frozenset[int]:
        """Positions that are part of some key."""
        return frozenset(place for key in self.keys for place in key)

    @property
    def link_columns(self) -> frozenset[int]:
        """Positions that are part of some link."""
        return frozenset(place for link in self.links for place in link.columns)


@dataclass(frozen=True, slots=True)
class Schema:
    """All tables that were copied, parents before children where no cycle forbids it."""

    tables: tuple[Table, ...]
    views: dict[str, str]
    """The text of each view."""

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts for the manifest."""
        return asdict(self) | {"tables": [asdict(table) for table in self.tables]}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "Schema":
        """The schema that `to_json` wrote."""
        return cls(tuple(_table(table) for table in plain["tables"]), plain["views"])


def _table(plain: dict[str, Any]) -> Table:
    return Table(
        plain["name"],
        tuple(Column(**{**c, "domain": Domain(**c["domain"])}) for c in plain["columns"]),
        tuple(map(tuple, plain["keys"])),
        tuple(
            Link(tuple(link["columns"]), link["parent"], tuple(link["parent_columns"]))
            for link in plain["links"]
        ),
        plain["rowid"],
    )


def quoted(name: str) -> str:
    """The identifier in double quotes, safe inside a statement."""
    return '"' + name.replace('"', '""') + '"'


def affinity(declared: str) -> str:
    """Affinity of a declared type (sqlite.org/datatype3.html, section 3.1)."""
    kind = declared.upper()
    if "INT" in kind:
        return "int"
    if any(part in kind for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not kind or "BLOB" in kind:
        return "blob"
    return "real" if any(part in kind for part in ("REAL", "FLOA", "DOUB")) else "numeric"
