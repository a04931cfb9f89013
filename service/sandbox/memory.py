"""Give memory that was freed back to the system. Standard library only; lives in the worker.

glibc's allocator keeps what large values and sorts have freed, hundreds of megabytes in each idle
worker, and learns from large values to keep more. Other allocators are left to their own ways.
"""

import ctypes
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MAPPED_FROM = 2**20  # bytes of one value: from here on it is mapped alone, and unmapped when freed
_KEPT = 16 * 2**20  # bytes at the end of the heap


def keep_little() -> None:
    """Settle how much the allocator may keep; once, at the start of the process."""
    _call("mallopt", _M_MMAP_THRESHOLD, _MAPPED_FROM)
    _call("mallopt", _M_TRIM_THRESHOLD, _KEPT)


def give_back() -> None:
    """Return freed pages; takes up to some milliseconds, so only after something long."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(_LIBC, name, None)
    if function:
        function(*arguments)


_LIBC: Any = ctypes.CDLL(None)
