"""What tells one state of a database file from another. Standard library only."""

import os


def version_of(found: os.stat_result) -> str:
    """Changes when the file is replaced or written."""
    return f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
