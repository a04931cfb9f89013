"""A database in memory whose rows are stored in the opposite order. Standard library only.

SQL gives the rows of a table no order, so a statement that does not ask for the rowid must return
the same from such a copy. Reading backwards is not enough to find out: the engine keeps to its own
order where it groups or sorts.
"""

import os
import sqlite3
from contextlib import closing, suppress
from functools import lru_cache

from service.sandbox.limits import Limits

MAX_BYTES = 16 * 2**20
"""Size of the largest file of which a copy is made."""
_KEPT = 2  # copies that a worker holds
_BUILD_OPS = 50_000_000  # virtual machine steps; a second or two
_ORDINARY = """
    SELECT name FROM pragma_table_list
    WHERE schema = 'main' AND type = 'table' AND NOT wr AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
"""  # neither virtual, nor the shadow of a virtual one, nor without a rowid
_ASIDE = '"verisql aside"'


@lru_cache(maxsize=_KEPT)
def stored_backwards(path: str, version: str, limits: Limits) -> bytes | None:
    """The copy as the bytes of a database; None where the file is too large or cannot be copied.

    `version` says which state of the file is meant.
    """
    del version
    try:
        if os.stat(path).st_size > MAX_BYTES:
            return None
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            return _turned(path, copy, limits)
    except (OSError, sqlite3.Error, MemoryError):
        return None


def _turned(path: str, copy: sqlite3.Connection, limits: Limits) -> bytes:
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content[18:20] = b"\x01\x01"  # no write-ahead log: a copy in memory cannot have one
    copy.deserialize(bytes(content))
    copy.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.max_value_bytes)
    copy.set_progress_handler(lambda: 1, _BUILD_OPS)
    for pragma in ("temp_store=MEMORY", "foreign_keys=OFF", "trusted_schema=OFF"):
        copy.execute(f"PRAGMA {pragma}")
    for name in _quoted(copy, "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        copy.execute(f"DROP TRIGGER {name}")
    for name in _quoted(copy, _ORDINARY):
        # A table with generated columns stays as it is.
        with suppress(sqlite3.OperationalError):
            _turn(copy, name)
    return copy.serialize()


def _quoted(copy: sqlite3.Connection, sql: str) -> list[str]:
    return ['"' + str(name).replace('"', '""') + '"' for (name,) in copy.execute(sql)]


def _turn(copy: sqlite3.Connection, name: str) -> None:
    copy.execute("SAVEPOINT turn")
    try:
        copy.execute(f"CREATE TABLE temp.{_ASIDE} AS SELECT * FROM main.{name} ORDER BY rowid DESC")  # noqa: S608
        copy.execute(f"DELETE FROM main.{name}")  # noqa: S608
        copy.execute(f"INSERT INTO main.{name} SELECT * FROM temp.{_ASIDE} ORDER BY rowid")  # noqa: S608
    except sqlite3.Error:
        copy.execute("ROLLBACK TO turn")
        raise
    finally:
        copy.execute(f"DROP TABLE IF EXISTS temp.{_ASIDE}")
        copy.execute("RELEASE turn")
