"""What one query may use, and what a worker process may use."""

from dataclasses import dataclass

_WALL_TIMES, _WALL_MORE_S = 3.0, 2.0
STARVED = "ended by the clock: it was kept from the processor for most of its time"
"""Message of a failure of ours: nobody can say whether the statement is slow."""
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


def by_clock_s(limit_s: float) -> float:
    """How long a statement may take by the clock: the longer of three times its limit and two
    seconds more than it.

    Once it had its limit on the processor it ends, which is a timeout. By the clock it ends too,
    which is none: what others run beside it is not held against it.
    """
    return max(_WALL_TIMES * limit_s, limit_s + _WALL_MORE_S)
