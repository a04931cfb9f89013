"""Questions with gold SQL, read from a file in BIRD's or Spider's format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.text2sql.rowtext import NotAList, RowText, split_rows

_SHOWN = 100  # characters of a wrong value that the message repeats
_DIFFICULTY = "unrated"


@dataclass(frozen=True, slots=True)
class Question:
    """One row of dev.json, train.json or the like."""

    question_id: str
    db_id: str
    question: str
    gold_sql: str
    evidence: str = ""
    difficulty: str = _DIFFICULTY


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that is no question: its id, or its number where it has none, and what is wrong."""

    question_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """A file of questions, row by row, with the text that each row came from."""

    path: Path
    text: RowText
    questions: list[Question | None]
    """None where a row is no question; `faults` says why."""
    faults: dict[int, Fault]


def read_questions(path: Path) -> list[Question]:
    """All rows of a JSON list, or of JSON lines; BIRD's `SQL` and Spider's `query` name the gold.

    Raises InvalidRequest naming the row and the field that is missing or of the wrong kind.
    """
    return [_question(row, n, str(path)) for n, row in enumerate(_read(path).values)]


def read_dataset(path: Path) -> Dataset:
    """As read_questions, but a faulty row is a value; raises InvalidRequest if none is sound."""
    text = _read(path)
    questions, faults = sort_rows(text.values, str(path))
    return Dataset(path, text, questions, faults)


def sort_rows(rows: Sequence[Any], source: str) -> tuple[list[Question | None], dict[int, Fault]]:
    """A question or None for each row, and what is wrong with the others, by row.

    Raises InvalidRequest if every row is wrong: that is no list of questions.
    """
    questions: list[Question | None] = []
    faults: dict[int, Fault] = {}
    for n, row in enumerate(rows):
        try:
            questions.append(_question(row, n, source))
        except InvalidRequest as error:
            questions.append(None)
            message = error.message.removeprefix(f"{source}, row {n}: ")
            own = row.get("question_id", n) if isinstance(row, dict) else n
            faults[n] = Fault(str(own), message)
    if len(faults) == len(questions):
        raise InvalidRequest(f"{source}, row 0: {faults[0].message}")
    return questions, faults


def _read(path: Path) -> RowText:
    try:
        text = split_rows(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError as error:
        raise InvalidRequest(f"{path} is nested too deeply") from error
    except NotAList:
        raise _no_list(path) from None
    except ValueError as error:
        raise InvalidRequest(f"{path} is not valid JSON: {error}") from error
    if not text.values or _is_lone_object(text):
        raise _no_list(path)
    return text


def _is_lone_object(text: RowText) -> bool:
    """One object that is no question either: rather another kind of file than JSON lines."""
    return not text.head.strip() and len(text.values) == 1 and "db_id" not in text.values[0]


def _no_list(path: Path) -> InvalidRequest:
    return InvalidRequest(f"{path} must hold a JSON list with at least one question, or JSON lines")


def _question(row: Any, number: int, source: str) -> Question:
    if not isinstance(row, dict):
        raise InvalidRequest(f"{source}, row {number}: must be an object, is {type(row).__name__}")
    gold = "SQL" if "SQL" in row else "query"
    for name in ("db_id", "question", gold):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise InvalidRequest(
                f"{source}, row {number}: {name!r} must be a text that is not empty, "
                f"is {repr(row.get(name))[:_SHOWN]}"
            )
    return Question(
        question_id=str(row.get("question_id", number)),
        db_id=row["db_id"],
        question=row["question"],
        gold_sql=row[gold],
        evidence=str(row.get("evidence") or ""),
        difficulty=str(row.get("difficulty") or _DIFFICULTY),
    )
