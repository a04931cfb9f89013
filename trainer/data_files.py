"""A run's questions and their files, where they still are: a dataset may be a file or a folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from service.errors import InvalidRequest
from service.jobs.spec import RunRequest
from service.text2sql.layouts import Split, question_files
from service.text2sql.questions import Question, read_questions

GONE = "the file is gone"


def data_path(request: RunRequest, split: Split) -> Path | None:
    """What the run was given; None without dev data."""
    return request.train_data_path if split == "train" else request.dev_data_path


def questions_of(request: RunRequest, split: Split) -> list[Question]:
    """All of a split, as the run read them, golds or not; none where there is no such split.

    Raises InvalidRequest where they are gone or have changed for the worse.
    """
    path = data_path(request, split)
    return read_questions(path, split, need_gold=False) if path else []


def file_hashes(path: Path, split: Split) -> Iterator[tuple[str, str]]:
    """Name and SHA-256 of each file that a split is read from; with the folder's name."""
    try:
        files = question_files(path, split)
    except InvalidRequest:
        files = [path]
    for file in files:
        yield str(Path(path.name) / file.relative_to(path)), _sha256(file)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return GONE
