"""Outcomes as lines of a file, added one by one; a file whose writer was killed goes on."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from service.errors import InvalidRequest
from service.text2sql.evaluation.lines import as_line, from_line
from service.text2sql.evaluation.outcome import Outcome


class OutcomeFile:
    """A file of outcomes, held by one writer; `outcomes` has those that it held before, by place.

    Lines are only ever added, each handed to the system at once, so that a run that is killed loses
    no more than the line it was writing: half a line at the end is cut off. The last line of a
    question counts.
    """

    def __init__(self, path: Path) -> None:
        """Raises InvalidRequest where another process writes the file, or it is no such file."""
        try:
            with ExitStack() as stack:
                file = stack.enter_context(path.open("a+b"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.outcomes = {o.place: o for o in _whole_lines(file, path)}
                stack.pop_all()
        except BlockingIOError as error:
            raise InvalidRequest(f"{path} is being written by another evaluation") from error
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
        self._file = file

    def __enter__(self) -> "OutcomeFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, outcome: Outcome) -> None:
        """One more; in the place of an earlier one of the same question."""
        self._file.write(json.dumps(as_line(outcome)).encode() + b"\n")
        self._file.flush()
        self.outcomes[outcome.place] = outcome

    def close(self) -> None:
        """Let others write it."""
        self._file.close()


def read_outcomes(path: Path) -> list[Outcome]:
    """In the order of their places, half a line at the end left out; raises InvalidRequest."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    outcomes = {o.place: o for o in _parsed(lines, path)}
    return [outcomes[place] for place in sorted(outcomes)]


def _whole_lines(file: IO[bytes], path: Path) -> Iterator[Outcome]:
    file.seek(0)
    *lines, torn = file.read().split(b"\n")
    yield from _parsed(lines, path)
    if torn:
        file.truncate(file.tell() - len(torn))


def _parsed(lines: Sequence[bytes], path: Path) -> Iterator[Outcome]:
    for number, line in enumerate(lines, 1):
        try:
            yield from_line(json.loads(line))
        except ValueError as error:
            raise InvalidRequest(f"{path}, line {number}: {error}") from error
