"""Which questions the demonstration trains on, and which it measures on.

A folder with a train and a dev file (BIRD's or Spider's layout) says so itself. Otherwise one file
is split: by database, or by question where there is only one database.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from service.errors import InvalidRequest
from service.text2sql.evaluation.whole_file import write_whole
from service.text2sql.questions import Question, read_questions

_TRAIN = ("train/train.json", "train.json", "train_spider.json")
_DEV = ("dev/dev.json", "dev.json")
_MEASURED = 0.4
"""Share of a file that is split."""


@dataclass(frozen=True, slots=True)
class Split:
    """Questions on both sides, and how far apart the two are, in words."""

    train: list[Question]
    dev: list[Question]
    said: str
    folders: tuple[Path, ...]
    """Where the databases are."""
    same_databases: bool = False
    """Both sides ask about the one database that there is."""


def split_data(given: Path, dev_questions: int, databases: Path | None = None) -> Split:
    """`given` is a folder with questions and databases, or a file of questions.

    The databases of a file lie in `databases`, beside it if None. At most `dev_questions` measure,
    the same ones whenever it is asked. Raises InvalidRequest.
    """
    train, dev = _files(given)
    if dev is not None:
        split = _two_files(train, dev)
    else:
        split = _one_file(train, databases or train.parent)
    dev_part = _drawn(split.dev, dev_questions)
    if not split.train or not dev_part:
        raise InvalidRequest(
            f"{given}: {len(split.train)} questions to train on and "
            f"{len(dev_part)} to measure on, at least one of each is needed"
        )
    return replace(split, dev=dev_part)


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """In BIRD's format, whole or not at all."""
    write_whole(path, json.dumps(_rows(questions), indent=1).encode())


def digest(questions: Sequence[Question]) -> str:
    """SHA-256 over all that write_questions writes."""
    return _digest(json.dumps(_rows(questions)))


def _rows(questions: Sequence[Question]) -> list[dict[str, str]]:
    return [
        {
            "question_id": q.question_id,
            "db_id": q.db_id,
            "question": q.question,
            "evidence": q.evidence,
            "SQL": q.gold_sql,
            "difficulty": q.difficulty,
        }
        for q in questions
    ]


def _files(given: Path) -> tuple[Path, Path | None]:
    """The file to train on, or to split if there is no other."""
    found = [path for names in (_TRAIN, _DEV) for path in _first(given, names)]
    if given.is_file():
        return given, None
    if not found:
        raise InvalidRequest(
            f"{given} has none of {', '.join([*_TRAIN, *_DEV])}: give a folder with one of them "
            "and its databases, or a file of questions",
            param="data",
        )
    return found[0], (found[1] if len(found) > 1 else None)


def _first(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()][:1]


def _two_files(train: Path, dev: Path) -> Split:
    ours, theirs = read_questions(train), read_questions(dev)
    shared = {q.db_id for q in ours} & {q.db_id for q in theirs}
    if shared:
        raise InvalidRequest(
            f"{dev} asks about databases that {train} asks about too: {', '.join(sorted(shared))}; "
            "leave them out on one side",
            param="data",
        )
    said = f"{_count(theirs)} databases that were never trained on"
    return Split(ours, theirs, said, tuple(dict.fromkeys([train.parent, dev.parent])))


def _one_file(path: Path, databases: Path) -> Split:
    questions = read_questions(path)
    alone = _count(questions) == 1
    if alone:
        dev = _of_each_level(questions)
        said = (
            f"other questions about the one database that was trained on ({questions[0].db_id}): "
            "nothing is said of other databases"
        )
    else:
        dev = _by_database(questions)
        said = f"{_count(dev)} databases that were never trained on"
    taken = {(q.question_id, q.question) for q in dev}
    train = [q for q in questions if (q.question_id, q.question) not in taken]
    return Split(train, dev, said, (databases,), same_databases=alone)


def _by_database(questions: Sequence[Question]) -> list[Question]:
    """Whole databases, until the share is reached."""
    names = sorted({q.db_id for q in questions}, key=_digest)
    chosen: set[str] = set()
    for name in names[:-1]:
        if sum(q.db_id in chosen for q in questions) >= len(questions) * _MEASURED:
            break
        chosen.add(name)
    return [q for q in questions if q.db_id in chosen]


def _of_each_level(questions: Sequence[Question]) -> list[Question]:
    """The share of each difficulty, drawn by digest: neither seed nor order changes it."""
    levels: dict[str, list[Question]] = {}
    for question in questions:
        levels.setdefault(question.difficulty, []).append(question)
    return [q for level in levels.values() for q in _drawn(level, round(len(level) * _MEASURED))]


def _drawn(questions: Sequence[Question], count: int) -> list[Question]:
    """At most `count`, in the order of the file."""
    chosen = set(
        sorted(range(len(questions)), key=lambda n: _digest(questions[n].question))[:count]
    )
    return [q for n, q in enumerate(questions) if n in chosen]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _count(questions: Sequence[Question]) -> int:
    return len({q.db_id for q in questions})
