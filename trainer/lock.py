"""One trainer per run directory: a lock that dies with the process that holds it."""

import fcntl
import os
from pathlib import Path

HANDED_OVER_FD = 3
"""Where a launcher puts the open lock file that it has locked for us already."""


def hold_lock(path: Path) -> int | None:
    """Lock the run for as long as this process lives; None if another process holds the lock.

    The descriptor must never be closed. A lock belongs to an open file, not to a process: one that
    was opened and locked by the launcher and inherited is ours, and opening the file again here
    would find it taken.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _is_handed_over(lock):
        os.close(lock)
        lock = HANDED_OVER_FD
        os.set_inheritable(lock, False)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


def is_held(path: Path) -> bool:
    """True while a process holds the lock."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_handed_over(lock: int) -> bool:
    try:
        return lock != HANDED_OVER_FD and os.path.sameopenfile(lock, HANDED_OVER_FD)
    except OSError:
        return False
