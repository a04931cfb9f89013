"""The connections that one worker keeps open, least recently used leaving first."""

import os
import resource
import sqlite3
import sys
from collections import OrderedDict

from service.sandbox.fileversion import version_of
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure, failure_of, mapped_bytes, size_of

_OPEN = 256
Key = tuple[str, str, str, bool]


class Connections:
    """One connection for each file, version of the file and role; none is shared between roles.

    Bounded in number, and their page caches in bytes: together they take at most a quarter of the
    worker's memory, so that whoever runs next still has its share.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: OrderedDict[Key, Connection] = OrderedDict()
        self._cached_bytes = 0
        self._mapped_bytes = 0

    def get(self, path: str, version: str, role: str, *, lenient_text: bool = False) -> Connection:
        """The connection, opened where need be; raises Failure if the file cannot be opened.

        The version is part of the key: a replaced file is opened anew. `lenient_text` drops bytes
        that are not UTF-8 instead of failing.
        """
        key = (path, version, role, lenient_text)
        found = self._open.get(key)
        if found is None:
            return self._make(key, lenient_text)
        self._open.move_to_end(key)
        return found

    def _make(self, key: Key, lenient_text: bool) -> Connection:
        mapped = mapped_bytes(size_of(key[0]))
        self._map(mapped)
        try:
            made = Connection(key[0], self._limits, lenient_text=lenient_text)
            _must_be(key[0], key[1])
        except (sqlite3.Error, Failure) as error:
            self._map(-mapped)
            raise error if isinstance(error, Failure) else failure_of(error) from None
        self._open[key] = made
        self._cached_bytes += made.cached_bytes
        while len(self._open) > 2 and self._too_many():
            self._drop()
        return made

    def _too_many(self) -> bool:
        most = self._limits.memory_mb * 2**20 // 4
        return len(self._open) > _OPEN or self._cached_bytes > most

    def _drop(self) -> None:
        _, oldest = self._open.popitem(last=False)
        oldest.close()
        self._cached_bytes -= oldest.cached_bytes
        self._map(-oldest.mapped_bytes)

    def _map(self, more_bytes: int) -> None:
        """Let a mapping have address space, but none of the memory that is to be bounded."""
        self._mapped_bytes += more_bytes
        if more_bytes and sys.platform == "linux":
            most = self._limits.memory_mb * 2**20 + self._mapped_bytes
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _must_be(path: str, version: str) -> None:
    """Raises Failure where the file is no longer the one that was asked for."""
    try:
        found = version_of(os.stat(path))
    except OSError as error:
        raise Failure("infra_error", f"the database file is gone: {error.strerror}") from None
    if version != found:
        raise Failure("infra_error", "the database file was replaced just now")
