"""What comes back from a worker: values, never exceptions."""

from dataclasses import dataclass, field
from typing import Any, Literal

QueryStatus = Literal[
    "ok",
    "no_sql",
    "syntax_error",
    "exec_error",
    "forbidden",
    "timeout",
    "too_large",
    "infra_error",
]


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of one read-only statement, cut at the caller's bounds."""

    status: QueryStatus
    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    """JSON values; a blob is {"blob": hex}."""
    truncated: bool = False
    """More rows or bytes were there than asked for."""
    elapsed_ms: float = 0.0
    message: str | None = None
    digest: str | None = None
    """Equal for equal sets of all rows (rowset.py), where asked for and not too many."""
    tables: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    """`table.column`, as the engine resolved them."""


@dataclass(frozen=True, slots=True)
class Described:
    """What the engine says of a statement that it compiled but did not run."""

    status: QueryStatus
    message: str | None = None
    tables: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    """`table.column`, as the engine resolved them."""
