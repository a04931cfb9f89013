"""Settle how the process uses SQLite, before its first connection. Standard library only.

By default SQLite counts every byte it allocates, under a lock, so that it can be asked for the sum,
and takes further locks in case several threads use it. A worker never asks and has one thread: a
tenth of its time (https://sqlite.org/c3ref/c_config_covering_index_scan.html). These settings have
no PRAGMA, so they are made by calling the library that Python's own module uses. Where that is not
to be found they are left as they are: a worker is then slower, and nothing else.
"""

import _sqlite3
import ctypes
import sys
from typing import Any

_SINGLE_THREAD, _MEMORY_STATUS, _LOOKASIDE = 1, 9, 13
_LOOKASIDE_SLOTS = (1200, 100)  # bytes of one, how many a connection has; by default 40


def settle() -> bool:
    """Make the settings; False where that cannot be done. No connection may be open."""
    library = _library()
    if library is None or library.sqlite3_shutdown():
        return False
    done = [
        library.sqlite3_config(_SINGLE_THREAD),
        library.sqlite3_config(_MEMORY_STATUS, 0),
        library.sqlite3_config(_LOOKASIDE, *_LOOKASIDE_SLOTS),
    ]
    return not library.sqlite3_initialize() and not any(done)


def _library() -> Any:
    # Elsewhere than on Linux a function with a variable number of arguments may want them in other
    # places than ctypes puts them.
    path = getattr(_sqlite3, "__file__", None)
    if sys.platform != "linux" or path is None:
        return None
    library = ctypes.CDLL(path)
    return library if hasattr(library, "sqlite3_config") else None
