"""Honest requests on the demo database, new to every cache, with the verdicts they must get."""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from service.demo import build_demo

DB_ID = "alpine_retail"
GROUP_SIZE = 8


@dataclass(frozen=True, slots=True)
class Request:
    """The body of a /verify and bird_ex of each of its predictions."""

    body: dict[str, Any]
    expected: list[float]


class HonestLoad:
    """Groups of 8: the gold said otherwise, golds of other questions, and a query that fails."""

    def __init__(self, folder: Path) -> None:
        build_demo(folder)
        self.golds = _golds(folder / DB_ID / f"{DB_ID}.sqlite")

    def request(self, number: int) -> Request:
        """The same for the same number, with texts that no other number has."""
        dice = random.Random(number)
        sql, rows = dice.choice(self.golds)
        chosen = [(sql, rows), *dice.sample(self.golds, GROUP_SIZE - 2)]
        dice.shuffle(chosen)
        predictions = [_fresh(other, number) for other, _ in chosen]
        expected = [float(others == rows) for _, others in chosen]
        body = {
            "db_id": DB_ID,
            "gold_sql": sql,
            "predictions": [*predictions, f"SELECT no_such_column_{number} FROM customer"],
        }
        return Request(body, [*expected, 0.0])


def wrong_verdicts(request: Request, answer: dict[str, Any]) -> Counter[str]:
    """Verdicts that are not those of the request, by status; masked ones are wrong too."""
    pairs = zip(request.expected, answer["verdicts"], strict=True)
    return Counter(
        v["status"] for expected, v in pairs if v["masked"] or v["metrics"]["bird_ex"] != expected
    )


def _fresh(sql: str, number: int) -> str:
    return f"SELECT * FROM ({sql}) WHERE {number} = {number}"


def _golds(database: Path) -> Sequence[tuple[str, frozenset[Any]]]:
    """The demo's golds with their rows, one of those that return the same."""
    questions = json.loads((files("service.demo") / "questions.json").read_text())
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        for question in questions:
            # SQLite names columns of a subquery apart where they are the same; their values stay.
            rows = frozenset(connection.execute(f"SELECT * FROM ({question['SQL']})").fetchall())
            found[rows] = question["SQL"]
    return [(sql, rows) for rows, sql in found.items()]
