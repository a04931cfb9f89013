"""The kinds of altered copies, one after the other over the instances. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """How the rows of one copy differ from the source's; shares are from 0 to 1."""

    name: str
    rows: int = 40
    """Rows of a table, about."""
    redrawn: float = 0.0
    """Share of cells drawn anew from the column's domain."""
    nulls: float = 0.0
    """Share of NULLs in columns that allow them."""
    link_nulls: float = 0.0
    tied: bool = False
    """Each column has few values, so that many rows tie."""
    spread: bool = False
    """Values hardly repeat, and some parents have many more children than others."""
    doubled: bool = False
    """Each row comes again under another key."""
    childless: float = 0.0
    """Share of parents that no row points to."""
    empty: float = 0.0
    """Share of tables without rows; 1 empties all."""


KINDS = (
    Kind("resampled", rows=60),
    Kind("shifted", redrawn=0.7),
    Kind("tied", rows=24, redrawn=1.0, tied=True),
    Kind("nulls", redrawn=0.3, nulls=0.2, link_nulls=0.15),
    Kind("spread", redrawn=0.9, spread=True),
    Kind("doubled", rows=24, redrawn=0.1, doubled=True),
    Kind("childless", rows=12, redrawn=0.5, childless=0.6),
    Kind("emptied", rows=10, redrawn=0.5, empty=1.0),
    Kind("swapped", redrawn=1.0),
    Kind("partly emptied", rows=16, redrawn=0.5, empty=0.4),
)


def kind_of(instance: int) -> Kind:
    """The kind of instance number `instance`, from 0 on."""
    return KINDS[instance] if instance < 8 else KINDS[(instance - 8) % len(KINDS)]
