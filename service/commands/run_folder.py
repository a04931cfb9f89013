"""The folder of one evaluation: written as it goes, read when it goes on or is compared."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from service.commands.whole_file import write_whole
from service.errors import InvalidRequest
from service.text2sql.evaluation import Outcome
from service.text2sql.evaluation.lines import as_line, from_line
from service.text2sql.evaluation.manifest import FORMAT, Manifest, Plan, Session, changes, manifest

QUESTIONS, MANIFEST = "questions.jsonl", "manifest.json"


class RunFolder:
    """Keeps the outcomes of a run, on disk where it has a folder.

    Lines are only ever added to questions.jsonl, each on disk at once, so that a run that is killed
    loses no more than the line it was writing. The last line of a question counts. Where a run of
    the same plan has left outcomes, they are taken over.
    """

    def __init__(self, path: Path | None, plan: Plan, surroundings: Mapping[str, Any]) -> None:
        """Raises InvalidRequest where the folder holds another run, or one that still goes on."""
        self.path = path
        self.outcomes: dict[int, Outcome] = {}
        self.sessions: list[Session] = []
        self._plan = plan
        self._surroundings = surroundings
        self._file: IO[bytes] | None = None
        if path is not None:
            self._open(path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, outcome: Outcome) -> None:
        """One more; in the place of an earlier one of the same question."""
        self.outcomes[outcome.place] = outcome
        if self._file:
            self._file.write(json.dumps(as_line(outcome)).encode() + b"\n")
            self._file.flush()

    def in_order(self) -> list[Outcome]:
        """As in the file of questions."""
        return [self.outcomes[place] for place in sorted(self.outcomes)]

    def manifest(self) -> Manifest:
        """Of what there is so far."""
        return manifest(self._plan, self.in_order(), self.sessions, self._surroundings)

    def write(self, files: Mapping[str, bytes]) -> None:
        """The manifest and those files, by name; nothing without a folder."""
        if self.path:
            for name, content in {**files, MANIFEST: as_json(self.manifest())}.items():
                write_whole(self.path / name, content)

    def _open(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
            earlier = self._earlier(path)
            with ExitStack() as stack:
                file = stack.enter_context((path / QUESTIONS).open("a+b"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.outcomes = {o.place: o for o in _whole_lines(file, path / QUESTIONS)}
                stack.pop_all()
        except BlockingIOError as error:
            raise InvalidRequest(f"{path} is being written by another evaluation") from error
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
        self._file = file
        self.sessions = list(earlier["sessions"]) if earlier else []
        self.write({})

    def _earlier(self, path: Path) -> Manifest | None:
        found = _manifest(path)
        lines = path / QUESTIONS
        if found is None and lines.exists() and lines.stat().st_size:
            raise InvalidRequest(f"{lines} has no {MANIFEST} beside it; name another --output")
        if found and (different := changes(found, self._plan)):
            raise InvalidRequest(
                f"{path} holds another run: {'; '.join(different)}. Name another --output, or ask "
                "as before"
            )
        return found


def read_run(path: Path) -> tuple[Manifest, list[Outcome]]:
    """Manifest and outcomes of a run; raises InvalidRequest where there is none."""
    try:
        found = _manifest(path)
        if found is None:
            raise InvalidRequest(f"{path} holds no evaluation: it has no {MANIFEST}")
        lines = (path / QUESTIONS).read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    outcomes = {o.place: o for o in _parsed(lines, path / QUESTIONS)}
    return found, [outcomes[place] for place in sorted(outcomes)]


def as_json(value: Any) -> bytes:
    """For people and programs: indented, ASCII."""
    return json.dumps(value, indent=1).encode() + b"\n"


def _manifest(path: Path) -> Manifest | None:
    try:
        found: Manifest = json.loads((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InvalidRequest(f"{path / MANIFEST} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise InvalidRequest(f"{path / MANIFEST} is no manifest of this version ({FORMAT})")
    return found


def _whole_lines(file: IO[bytes], path: Path) -> Iterator[Outcome]:
    """Of a file open for more; half a line, left by a run that was killed, is cut off."""
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
