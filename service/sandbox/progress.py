"""Which item of its task a worker is at: a number in memory that parent and worker share.

Answers leave a worker in batches. When it is late or dead, the parent reads here which statement it
was running, so that the right one is blamed and those before it are run again.
"""

import mmap
import os
import struct
import sys
import tempfile

_NUMBER = struct.Struct("=Q")


class Progress:
    """The number; the parent makes it, the worker opens it by its descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _NUMBER.size)

    def at(self) -> int:
        """The item that is running, counted from 0; 0 once closed."""
        if self._memory.closed:
            return 0
        return int(_NUMBER.unpack_from(self._memory)[0])

    def move(self, item: int) -> None:
        """Say that this item is running now."""
        _NUMBER.pack_into(self._memory, 0, item)

    def close(self) -> None:
        """Give back the memory."""
        self._memory.close()


def shared_descriptor() -> int:
    """A descriptor of memory for one Progress, without a name in any folder; close it after use."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("progress")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.truncate(descriptor, _NUMBER.size)
    return descriptor
