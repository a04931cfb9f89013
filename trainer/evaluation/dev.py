"""The questions that choices are made on: never trained on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.jobs.spec import RunRequest
from service.text2sql.evaluation.choose import Placed, of_databases, stratified
from service.text2sql.evaluation.manifest import Plan
from service.text2sql.layouts import question_files
from service.text2sql.questions import Question, read_questions


@dataclass(frozen=True, slots=True)
class Dev:
    """The questions of a file, or of a folder's dev split."""

    path: Path
    sha256: str
    questions: list[Question]

    def drawn(self, count: int | None, seed: int) -> list[Placed]:
        """All, or so many of them, each difficulty in its share; in the file's order."""
        placed = of_databases(self.questions, [])
        return placed if count is None else stratified(placed, count, seed)

    def plan(
        self, chosen: list[Placed], selection: dict[str, Any], settings: dict[str, Any]
    ) -> Plan:
        """What a manifest says of a run on the chosen ones."""
        return Plan(
            file=f"{self.path.resolve().parent.name}/{self.path.name}",
            file_sha256=self.sha256,
            in_file=len(self.questions),
            places=tuple(place for place, _ in chosen),
            selection=selection,
            settings=settings,
        )


def read_dev(request: RunRequest, stage: str) -> Dev:
    """The job's dev_data; raises InvalidRequest where there is none, or it holds no questions.

    That nothing of it is trained on is checked when a run begins (trainer.questions).
    """
    path = request.dev_data_path
    if path is None:
        raise InvalidRequest(
            f"the stage {stage} needs dev_data, questions that are not trained on; give them, or "
            "leave the stage out of the recipe",
            param="dev_data",
        )
    questions = read_questions(path, "dev")
    return Dev(path, _sha256(question_files(path, "dev")), questions)


def _sha256(files: list[Path]) -> str:
    """Of the one file, or of the digests of several."""
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
