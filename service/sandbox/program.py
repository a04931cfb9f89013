"""Tell when two statements compile to the same program, so that one run serves both.

SQLite compiles a statement to a program for its virtual machine. Upper or lower case, white space,
comments, aliases and the names of result columns leave no trace in it. Two statements with the same
program on the same file give the same rows, unless they ask for the clock or for chance. EXPLAIN
costs some 50 microseconds, so this is worth its price only where statements are slow.
"""

import re

from service.sandbox.sqlite import ENGINE_ERRORS, Connection

Program = tuple[object, ...]

# What EXPLAIN shows shortened: blobs, and numbers with more digits than it prints.
_SHORTENED = re.compile(r"[xX]'[^']*'|\d*\.\d+(?:[eE][+-]?\d+)?|\d+\.?[eE][+-]?\d+|\d{16,}")
_SILENT = frozenset({"Explain", "Noop"})  # what a reader is told; it has the aliases in it


def program_of(connection: Connection, sql: str) -> Program | None:
    """The statement's program, or None if it does not compile or is not the same at every run."""
    try:
        cursor = connection.execute(f"EXPLAIN {sql}", timeout_s=1.0)
        steps = tuple(row[:7] for row in cursor.fetchall() if row[1] not in _SILENT)
    except ENGINE_ERRORS:
        return None
    finally:
        connection.done()
    if not steps or connection.volatile(sql):
        return None
    return (steps, tuple(_SHORTENED.findall(sql)))
