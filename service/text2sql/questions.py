"""Questions with gold SQL, read from files in BIRD's or Spider's format, or from JSON lines."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.text2sql.layouts import Split, question_files
from service.text2sql.rowtext import NotAList, RowText, split_rows

_SHOWN = 100  # characters of a wrong value that the message repeats
_DIFFICULTY = "unrated"
_HINT = " (BIRD calls it 'SQL')"


@dataclass(frozen=True, slots=True)
class Question:
    """One row of dev.json, train.json or the like."""

    question_id: str
    """As the file says, else the row's number from 0 on; no two of what was read have the same."""
    db_id: str
    question: str
    gold_sql: str
    """Empty where the row has none and none is needed."""
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


def read_questions(path: Path, split: Split = "train", *, need_gold: bool = True) -> list[Question]:
    """All rows of a JSON list or of JSON lines; BIRD's `SQL` and Spider's `query` name the gold.

    A folder is read as layouts.question_files says, `split` says which of its parts. Ids follow
    from the files alone: a row without one has its number, after the file's name where there are
    several files, and the second row of an id is marked `#2`. Raises InvalidRequest naming the
    file, the row or line, and the field that is missing or of the wrong kind.
    """
    files = question_files(path, split)
    found: list[Question] = []
    for file in files:
        text = _read(file)
        prefix = f"{file.stem}:" if len(files) > 1 else ""
        for n, row in enumerate(text.values):
            try:
                found.append(_question(row, f"{prefix}{n}", need_gold=need_gold))
            except InvalidRequest as error:
                raise InvalidRequest(f"{file}, {text.place(n)}: {error.message}") from None
    return _with_unique_ids(found)


def read_dataset(path: Path) -> Dataset:
    """As read_questions, but a faulty row is a value; raises InvalidRequest if none is sound."""
    text = _read(path)
    questions, faults = sort_rows(text.values, str(path), text.place)
    return Dataset(path, text, questions, faults)


def row_place(number: int) -> str:
    """How a message names a row."""
    return f"row {number}"


def sort_rows(
    rows: Sequence[Any], source: str, place: Callable[[int], str] = row_place
) -> tuple[list[Question | None], dict[int, Fault]]:
    """A question or None for each row, and what is wrong with the others, by row.

    Raises InvalidRequest if every row is wrong: that is no list of questions.
    """
    questions: list[Question | None] = []
    faults: dict[int, Fault] = {}
    for n, row in enumerate(rows):
        try:
            questions.append(_question(row, str(n)))
        except InvalidRequest as error:
            questions.append(None)
            own = row.get("question_id", n) if isinstance(row, dict) else n
            faults[n] = Fault(str(own), error.message)
    if len(faults) == len(questions):
        raise InvalidRequest(f"{source}, {place(0)}: {faults[0].message}")
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


def _question(row: Any, number: str, *, need_gold: bool = True) -> Question:
    if not isinstance(row, dict):
        raise InvalidRequest(f"must be an object, is {type(row).__name__}")
    gold = "SQL" if "SQL" in row else "query"
    has_gold = need_gold or row.get(gold) is not None
    for name in ("db_id", "question", *([gold] if has_gold else [])):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise InvalidRequest(
                f"{name!r} must be a text that is not empty, "
                f"is {repr(row.get(name))[:_SHOWN]}{_HINT if name == 'query' else ''}"
            )
    own = row.get("question_id")
    return Question(
        question_id=number if own is None else str(own),
        db_id=row["db_id"],
        question=row["question"],
        gold_sql=row[gold] if has_gold else "",
        evidence=str(row.get("evidence") or ""),
        difficulty=str(row.get("difficulty") or _DIFFICULTY),
    )


def _with_unique_ids(questions: list[Question]) -> list[Question]:
    own = Counter(question.question_id for question in questions)
    if len(own) == len(questions):
        return questions
    seen: Counter[str] = Counter()
    unique = []
    for question in questions:
        name = question.question_id
        seen[name] += 1
        while seen[name] > 1 and (marked := f"{name}#{seen[name]}") in own:
            seen[name] += 1
        unique.append(replace(question, question_id=marked) if seen[name] > 1 else question)
    return unique
