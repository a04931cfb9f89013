"""What one query may use, and what a worker process may use."""

from dataclasses import dataclass

WALL_TIMES = 3.0
"""A statement ends once it had its time limit on the processor, or this many times as long by the
clock: what others run beside it is not held against it."""
OUT_OF_MEMORY_EXIT = 77
"""Exit code of a worker that ran out of memory where no statement could be told so."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one worker and on each statement it runs. All are enforced, most of them twice."""

    query_timeout_s: float = 30.0
    """Seconds of processor time for one prediction; the worker is killed shortly after."""
    gold_timeout_s: float = 60.0
    """Seconds of processor time for one gold query (golds run once and are kept)."""
    group_timeout_s: float = 110.0
    """Wall-clock seconds for a gold and all its predictions; trainers' own limits start at 120."""
    max_gold_rows: int = 1_000_000
    """Rows of a gold result that are kept for comparison."""
    max_gold_bytes: int = 128 * 2**20
    """Approximate bytes of the gold results that a worker keeps, and of those of one request."""
    max_value_bytes: int = 16 * 2**20
    """Length of one string or blob, in the engine itself (SQLITE_LIMIT_LENGTH)."""
    max_sql_bytes: int = 256 * 2**10
    """Length of one statement (SQLITE_LIMIT_SQL_LENGTH). Compiling cannot be interrupted and may
    take quadratic time; 32,768 aggregates, which overran SQLite before 3.50.2, need 300 kB."""
    memory_mb: int = 1024
    """Address space of a worker process (RLIMIT_AS)."""
    kill_grace_s: float = 0.3
    """Seconds beyond the deadline before the parent kills the worker."""
