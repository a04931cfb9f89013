"""Write a small file so that it is whole or as before, whatever happens."""

import errno
import os
from pathlib import Path

from service.errors import NoDiskSpace, Unavailable, VeriSQLError


def replace_file(path: Path, text: str) -> None:
    """Replace the file as a whole, on disk before this returns; raises OSError."""
    part = path.with_name(f".{path.name}.part{os.getpid()}")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Have a file's or folder's content on disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(error: OSError) -> VeriSQLError:
    """The error of ours for a file that could not be written."""
    name = error.filename or "a file in VERISQL_HOME"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoDiskSpace(f"the disk is full: {name} could not be written")
    return Unavailable(f"{name} could not be written: {error.strerror}", retry_after_s=30)
