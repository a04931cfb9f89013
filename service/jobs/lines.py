"""Files of lines that grow: a line is found without reading again what stands before it.

Lines are counted from 0, complete ones only. A file may be replaced by another: by its inode, its
size and the bytes before the place that was reached this is noticed, and it is counted anew.
"""

import os
import re
from array import array
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from threading import Lock
from typing import BinaryIO

_STRIDE = 64  # lines between two that are remembered
_CHUNK = 65_536
_MARK = 64  # bytes by which a place is known again
_FILES = 256


class LineIndex:
    """Where the lines of one file begin; read on from where it ended last, by any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._forget()

    def find(self, file: BinaryIO, line: int) -> int | None:
        """The byte at which a line begins, or will begin; None past the end."""
        with self._lock:
            self._catch_up(file)
            if line > self._lines:
                return None
            start = self._starts[line // _STRIDE]
        file.seek(start)
        for _ in range(line % _STRIDE):
            file.readline()
        return file.tell()

    def _forget(self) -> None:
        self._starts = array("Q", [0])  # of every _STRIDE-th line
        self._lines = 0
        self._end = 0  # the byte after the last complete line
        self._inode = 0
        self._mark = b""

    def _catch_up(self, file: BinaryIO) -> None:
        state = os.fstat(file.fileno())
        file.seek(self._end - len(self._mark))
        if state.st_ino != self._inode or file.read(len(self._mark)) != self._mark:
            self._forget()
            self._inode = state.st_ino
        if state.st_size == self._end:
            return
        self._count(file)
        file.seek(max(0, self._end - _MARK))
        self._mark = file.read(min(_MARK, self._end))

    def _count(self, file: BinaryIO) -> None:
        position = self._end
        file.seek(position)
        while chunk := file.read(_CHUNK):
            for newline in re.finditer(b"\n", chunk):
                self._end = position + newline.end()
                self._lines += 1
                if self._lines % _STRIDE == 0:
                    self._starts.append(self._end)
            position += len(chunk)


@lru_cache(maxsize=_FILES)
def index_of(path: Path) -> LineIndex:
    """The index of a file, kept for the files that were asked for last."""
    return LineIndex()


def lines_from(path: Path, after: int, limit: int | None) -> list[bytes]:
    """Complete lines from line `after` on, at most `limit`; none if there is no such file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return []
    with file:
        start = index_of(path).find(file, after) if after else 0
        if start is None:
            return []
        file.seek(start)
        return list(islice(takewhile(complete, file), limit))


def complete(line: bytes) -> bool:
    """Whether its end was written."""
    return line.endswith(b"\n")
