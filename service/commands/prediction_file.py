"""Files of predictions: rows with their gold, or BIRD's submission beside a file of golds."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.errors import InvalidRequest
from service.text2sql.questions import Question, read_questions

SEPARATOR = "\t----- bird -----\t"
"""Between the SQL and the db_id in BIRD's predict_dev.json."""
_ONE = ("prediction", "predicted_sql", "completion")
_GOLD = ("gold_sql", "SQL", "query")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One text to judge, under a name that is its own within the file."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Group:
    """Predictions for the same gold."""

    db_id: str
    gold_sql: tuple[str, ...]
    predictions: list[Prediction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PredictionFile:
    """What is to be judged, and what cannot be since one side of it is missing."""

    groups: list[Group]
    unanswered: list[str] = field(default_factory=list)
    """Questions of the gold file without a prediction, by question_id."""
    unknown: list[str] = field(default_factory=list)
    """Predictions for questions that the gold file does not have."""


_Answers = tuple[str | None, list[str]]  # db_id, predictions
_Row = tuple[str, str, tuple[str, ...], list[str]]  # id, db_id, golds, predictions


def read_predictions(path: Path, gold_path: Path | None = None) -> PredictionFile:
    """A JSON list, JSON lines, or BIRD's `{"0": "sql\\t----- bird -----\\tdb_id"}`.

    Golds come from the rows, or from `gold_path` (BIRD's or Spider's format) by question_id. Raises
    InvalidRequest naming the row and the field.
    """
    rows = _load(path)
    golds = {q.question_id: q for q in read_questions(gold_path)} if gold_path else {}
    if isinstance(rows, dict):
        if not golds:
            raise InvalidRequest(f"{path} has no golds; name their file with --gold-file")
        named = {name: _submitted(name, value, path) for name, value in rows.items()}
    elif golds:
        named = _named(rows, path)
    else:
        return PredictionFile(_groups(_complete(row, n, path) for n, row in enumerate(rows)))
    return _paired(named, golds, path)


def _load(path: Path) -> Any:
    """The rows, or the mapping of a submission."""
    try:
        text = path.read_text()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 at byte {error.start}") from error
    try:
        found = json.loads(text)
    except ValueError:
        found = [_line(line, n, path) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if isinstance(found, dict) and "db_id" in found:
        found = [found]
    if not isinstance(found, list | dict) or not found:
        raise InvalidRequest(f"{path} must hold at least one prediction")
    return found


def _line(line: str, number: int, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidRequest(
            f"{path} is neither JSON nor JSON lines: line {number}, {error}"
        ) from error


def _submitted(name: str, value: Any, path: Path) -> _Answers:
    """(db_id, predictions); what is no text counts as an empty answer, as in BIRD's evaluator."""
    if not isinstance(value, str | int | float | None):
        raise InvalidRequest(f"{path}, question {name}: must be a text, is {value!r:.100}")
    sql, _, db_id = value.partition(SEPARATOR) if isinstance(value, str) else ("", "", "")
    return db_id.strip() or None, [sql]


def _named(rows: list[Any], path: Path) -> dict[str, _Answers]:
    found: dict[str, _Answers] = {}
    for number, row in enumerate(rows):
        _check_object(row, number, path)
        if "question_id" not in row:
            raise InvalidRequest(f"{path}, row {number}: 'question_id' is missing")
        name = str(row["question_id"])
        db_id, earlier = found.get(name, (row.get("db_id"), []))
        found[name] = (db_id, [*earlier, *_predictions(row, number, path)])
    return found


def _paired(named: dict[str, _Answers], golds: dict[str, Question], path: Path) -> PredictionFile:
    """By question_id, never by position."""
    for name, (db_id, _) in named.items():
        if name in golds and db_id not in (None, golds[name].db_id):
            raise InvalidRequest(
                f"{path}, question {name}: is about {db_id!r}, its gold about "
                f"{golds[name].db_id!r}; is it another gold file?"
            )
    rows = [
        (name, golds[name].db_id, (golds[name].gold_sql,), predictions)
        for name, (_, predictions) in named.items()
        if name in golds
    ]
    return PredictionFile(
        groups=_groups(rows),
        unanswered=[name for name in golds if name not in named],
        unknown=[name for name in named if name not in golds],
    )


def _complete(row: Any, number: int, path: Path) -> _Row:
    _check_object(row, number, path)
    if not isinstance(row.get("db_id"), str) or not row["db_id"]:
        raise InvalidRequest(f"{path}, row {number}: 'db_id' must be a text")
    name = str(row.get("id", row.get("question_id", number)))
    return name, row["db_id"], _golds(row, number, path), _predictions(row, number, path)


def _golds(row: dict[str, Any], number: int, path: Path) -> tuple[str, ...]:
    given = next((row[name] for name in _GOLD if name in row), None)
    golds = given if isinstance(given, list) else [given]
    if not golds or not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise InvalidRequest(
            f"{path}, row {number}: the gold ({', '.join(_GOLD)}) must be SQL that is not empty, "
            f"or a list of such; or name a file with --gold-file"
        )
    return tuple(golds)


def _predictions(row: dict[str, Any], number: int, path: Path) -> list[str]:
    given: Any = row.get("predictions")
    if given is None:
        name = next((name for name in _ONE if name in row), None)
        given = None if name is None else [row[name]]
    if not isinstance(given, list) or not all(isinstance(one, str | None) for one in given):
        raise InvalidRequest(
            f"{path}, row {number}: 'predictions' must be a list of texts, or one of "
            f"{', '.join(_ONE)} a text"
        )
    return ["" if one is None else one for one in given]


def _check_object(row: Any, number: int, path: Path) -> None:
    if not isinstance(row, dict):
        raise InvalidRequest(f"{path}, row {number}: must be an object, is {type(row).__name__}")


def _groups(rows: Iterable[_Row]) -> list[Group]:
    """Rows with the same gold together; `3.0`, `3.1` name the predictions of row 3 if several."""
    groups: dict[tuple[str, tuple[str, ...]], Group] = {}
    seen: Counter[str] = Counter()
    for name, db_id, golds, texts in rows:
        group = groups.setdefault((db_id, golds), Group(db_id, golds))
        for place, text in enumerate(texts):
            own = name if len(texts) == 1 else f"{name}.{place}"
            seen[own] += 1
            group.predictions.append(
                Prediction(own if seen[own] == 1 else f"{own}#{seen[own]}", text)
            )
    return [group for group in groups.values() if group.predictions]
