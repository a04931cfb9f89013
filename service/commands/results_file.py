"""One line of JSON for each prediction, written as it is judged; a run that ended early goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest

Line = dict[str, Any]
"""`id`, `db_id`, `request` (a hash of all that was asked), and `verdict` or `error`."""


class ResultsFile:
    """Appends to a file; keeps in `judged` what an earlier run has left there, by id."""

    def __init__(self, path: Path | None, requests: Mapping[str, str]) -> None:
        """`requests` has the hash for each id; raises InvalidRequest where the file has others."""
        self.judged: dict[str, Line] = {}
        self._file = None
        if path is None:
            return
        try:
            self.judged = {line["id"]: line for line in _earlier(path, requests) if settled(line)}
            self._file = _rewritten(path, list(self.judged.values()))
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error

    def __enter__(self) -> "ResultsFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, line: Line) -> None:
        """One more, on disk at once."""
        if self._file:
            self._file.write(_encoded(line))
            self._file.flush()


def settled(line: Line) -> bool:
    """False for what is worth asking again: an error, a fault of the service."""
    return "verdict" in line and not line["verdict"]["retryable"]


def _earlier(path: Path, requests: Mapping[str, str]) -> list[Line]:
    if not path.exists():
        return []
    *whole, _cut = path.read_bytes().split(b"\n")  # a run that was killed leaves half a line
    return [_checked(line, n, path, requests) for n, line in enumerate(whole, 1)]


def _checked(text: bytes, number: int, path: Path, requests: Mapping[str, str]) -> Line:
    try:
        line: Line = json.loads(text)
        same = requests.get(line["id"]) == line["request"]
        settled(line)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(
            f"{path}, line {number}: is no result of this command; name another --output"
        ) from error
    if not same:
        raise InvalidRequest(
            f"{path}, line {number}: prediction {line['id']!r} was judged with another text, gold "
            "or option; name another --output, or remove the file"
        )
    return line


def _rewritten(path: Path, lines: list[Line]) -> Any:
    """The file, open for more, with those lines alone."""
    new = path.with_name(f"{path.name}.new")
    file = new.open("wb")
    for line in lines:
        file.write(_encoded(line))
    file.flush()
    os.replace(new, path)
    return file


def _encoded(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"
