"""Reading on in the files of a run, from a cursor and in bounded batches.

A cursor is an item's number with a check sum of the item before it, `12-1f3a9b2c`. So one that was
given before the file was replaced (a resumed run drops the metrics of later steps) is noticed, also
by another process: the batch then says `reset` and begins with the first item.
"""

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import orjson

from service.jobs.lines import complete, index_of
from service.jobs.rundir import RunDir, parsed

CURSOR = r"^\d{1,15}(-[0-9a-f]{8})?$"
_BATCH_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Cursor:
    """So many items are behind it, the last one with this check sum; None if nobody knows."""

    number: int = 0
    check: str | None = None

    @classmethod
    def read(cls, text: str) -> "Cursor":
        """The cursor that `str` wrote, or a plain number; raises ValueError."""
        if not re.match(CURSOR, text):
            raise ValueError(text)
        number, _, check = text.partition("-")
        return cls(int(number), check or None)

    def __str__(self) -> str:
        return f"{self.number}-{self.check}" if self.check else str(self.number)


@dataclass(frozen=True, slots=True)
class Item:
    """One row or line as JSON, and the cursor after it."""

    cursor: str
    json: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What comes next. With `reset` everything that was given before is void."""

    items: tuple[Item, ...] = ()
    reset: bool = False


_NONE = Batch()


class Following(Protocol):
    """One reader's place in one file."""

    def read(self, *, final: bool) -> Batch:
        """The next items, none if there is nothing new; `final`: nothing will be added."""


class Rows:
    """Rows of metrics or events. A last line without its end is not given; no file has no rows."""

    def __init__(self, path: Path, cursor: Cursor) -> None:
        self._path = path
        self._cursor = cursor
        self._offset = 0
        self._last: bytes | None = None  # the line before the offset; None before it was looked for

    def read(self, *, final: bool) -> Batch:
        """See Following; raises OSError."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return _NONE
        with file:
            reset = not self._is_there(file)
            if reset:
                self._cursor, self._offset, self._last = Cursor(), 0, b""
            file.seek(self._offset)
            return Batch(tuple(self._items(file)), reset)

    def _items(self, file: BinaryIO) -> list[Item]:
        items: list[Item] = []
        size = 0
        while size < _BATCH_BYTES and complete(line := file.readline()):
            size += len(line)
            self._cursor = Cursor(self._cursor.number + 1, _check(line))
            self._offset, self._last = self._offset + len(line), line
            items.append(Item(str(self._cursor), orjson.dumps(parsed(line))))
        return items

    def _is_there(self, file: BinaryIO) -> bool:
        if self._last is None:
            return self._find(file)
        file.seek(self._offset - len(self._last))
        return file.read(len(self._last)) == self._last

    def _find(self, file: BinaryIO) -> bool:
        if not self._cursor.number:
            self._last = b""
            return True
        start = index_of(self._path).find(file, self._cursor.number - 1)
        if start is None:
            return False
        file.seek(start)
        line = file.readline()
        self._offset, self._last = start + len(line), line
        return complete(line) and self._cursor.check in (None, _check(line))


class Lines:
    """Lines of the log; the cursor counts bytes. A log shorter than the cursor is another one."""

    def __init__(self, run: RunDir, cursor: Cursor) -> None:
        self._run = run
        self._offset = cursor.number

    def read(self, *, final: bool) -> Batch:
        """See Following; raises OSError. The last line comes when it is complete, or `final`."""
        try:
            reset = self._run.log_path.stat().st_size < self._offset
        except FileNotFoundError:
            return _NONE
        if reset:
            self._offset = 0
        lines = self._run.log_lines(self._offset, _BATCH_BYTES, final=final)
        self._offset = lines[-1].end if lines else self._offset
        return Batch(tuple(Item(str(ln.end), orjson.dumps(ln.text)) for ln in lines), reset)


def _check(line: bytes) -> str:
    return f"{zlib.crc32(line):08x}"
