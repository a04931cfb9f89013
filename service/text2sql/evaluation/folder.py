"""The folder of one evaluation: written as it goes, read when it goes on or is compared."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.text2sql.evaluation.manifest import FORMAT, Manifest, Plan, Session, changes, manifest
from service.text2sql.evaluation.outcome import Outcome
from service.text2sql.evaluation.outcome_file import OutcomeFile, read_outcomes
from service.text2sql.evaluation.whole_file import write_whole

QUESTIONS, MANIFEST = "questions.jsonl", "manifest.json"


class RunFolder:
    """Keeps the outcomes of a run, on disk where it has a folder.

    Where a run of the same plan has left outcomes, they are taken over.
    """

    def __init__(self, path: Path | None, plan: Plan, surroundings: Mapping[str, Any]) -> None:
        """Raises InvalidRequest where the folder holds another run, or one that still goes on."""
        self.path = path
        self.outcomes: dict[int, Outcome] = {}
        self.sessions: list[Session] = []
        self._plan = plan
        self._surroundings = surroundings
        self._file: OutcomeFile | None = None
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
            self._file.add(outcome)

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
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be written: {error.strerror}") from error
        self._file = OutcomeFile(path / QUESTIONS)
        self.outcomes = self._file.outcomes.copy()
        self.sessions = list(earlier["sessions"]) if earlier else []
        self.write({})

    def _earlier(self, path: Path) -> Manifest | None:
        found = _manifest(path)
        lines = path / QUESTIONS
        if found is None and lines.exists() and lines.stat().st_size:
            raise InvalidRequest(f"{lines} has no {MANIFEST} beside it; name another folder")
        if found and (different := changes(found, self._plan)):
            raise InvalidRequest(
                f"{path} holds another run: {'; '.join(different)}. Name another folder, or ask "
                "as before"
            )
        return found


def read_run(path: Path) -> tuple[Manifest, list[Outcome]]:
    """Manifest and outcomes of a run; raises InvalidRequest where there is none."""
    try:
        found = _manifest(path)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    if found is None:
        raise InvalidRequest(f"{path} holds no evaluation: it has no {MANIFEST}")
    return found, read_outcomes(path / QUESTIONS)


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
