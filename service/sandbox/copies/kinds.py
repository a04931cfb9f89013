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
    """Each column has one to three values, so that many rows tie."""
    spread: bool = False
    """Values hardly repeat, and some parents have many more children than others."""
    doubled: bool = False
    """Each row comes again under another key."""
    parents: int | None = None
    """Only so many rows of a table are pointed to, and texts take as few values: few groups."""
    empty: float = 0.0
    """Share of tables without rows; 1 empties all."""
    witnesses: int = 24
    """Rounds of witnesses that are planted."""
    sparse: bool = False
    """Few rounds of witnesses, so that rows do not hide one another."""
    variants: int = 1
    """How often the copy is planted anew and judged on."""

    @property
    def measured_nulls(self) -> float:
        """Share of NULLs in numbers: none where a LIMIT is to be without ties."""
        return 0.0 if self.spread and not self.parents else self.nulls


KINDS = (
    Kind("resampled", rows=60),
    Kind("shifted", redrawn=0.7),
    Kind("tied", rows=16, redrawn=1.0, tied=True, witnesses=12, variants=2),
    Kind("nulls", redrawn=0.3, nulls=0.35, link_nulls=0.15, variants=2),
    Kind("spread", redrawn=0.9, nulls=0.15, spread=True),
    Kind("doubled", rows=2, redrawn=0.3, doubled=True, sparse=True, variants=2),
    Kind(
        "few groups",
        redrawn=0.8,
        nulls=0.4,
        link_nulls=0.25,
        spread=True,
        parents=3,
        witnesses=10,
        variants=3,
    ),
    Kind("emptied", nulls=0.2, link_nulls=0.2, empty=1.0, sparse=True, variants=5),
    Kind("swapped", redrawn=1.0),
    Kind("partly emptied", rows=16, redrawn=0.5, empty=0.4),
)


def kind_of(instance: int) -> Kind:
    """The kind of instance number `instance`, from 0 on."""
    return KINDS[instance] if instance < 8 else KINDS[(instance - 8) % len(KINDS)]
