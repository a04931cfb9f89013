"""Questions with gold SQL, read from a file in BIRD's or Spider's format."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest

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


def read_questions(path: Path) -> list[Question]:
    """All rows of a JSON list; BIRD's `SQL` and Spider's `query` both name the gold.

    Raises InvalidRequest naming the row and the field that is missing or of the wrong kind.
    """
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidRequest(f"{path} is not valid JSON: {error}") from error
    if not isinstance(rows, list) or not rows:
        raise InvalidRequest(f"{path} must hold a JSON list with at least one question")
    return [_question(row, number, path) for number, row in enumerate(rows)]


def _question(row: Any, number: int, path: Path) -> Question:
    if not isinstance(row, dict):
        raise InvalidRequest(f"{path}, row {number}: must be an object, is {type(row).__name__}")
    gold = "SQL" if "SQL" in row else "query"
    for name in ("db_id", "question", gold):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise InvalidRequest(
                f"{path}, row {number}: {name!r} must be a text that is not empty, "
                f"is {row.get(name)!r}"
            )
    return Question(
        question_id=str(row.get("question_id", number)),
        db_id=row["db_id"],
        question=row["question"],
        gold_sql=row[gold],
        evidence=str(row.get("evidence") or ""),
        difficulty=str(row.get("difficulty") or _DIFFICULTY),
    )
