"""The run's lock (flock), which a trainer holds for as long as it lives."""

import fcntl
import os
from pathlib import Path


def is_locked(path: Path) -> bool:
    """True while someone holds the lock; False also where there is no such file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def try_lock(file: int, kind: int) -> bool:
    """Lock an open file (LOCK_EX or LOCK_SH) without waiting; False if another holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
