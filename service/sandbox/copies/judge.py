"""Judge predictions on altered copies: a match must hold wherever the gold's answer is determinate.

Runs in a sandbox worker. For each pair of gold and prediction each copy is loaded into memory and
planted with the literals of both (plant.py); then it is locked down like any database, gold and
prediction on connections of their own. The verdict on a prediction does not depend on what else is
in its group. Standard library only.
"""

import json
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from service.sandbox.copies.answers import Answer, Row, same
from service.sandbox.copies.facts import Facts, facts_of
from service.sandbox.copies.golds import Golds, from_image, rows_of
from service.sandbox.copies.kinds import kind_of
from service.sandbox.copies.plant import plant
from service.sandbox.copies.schema import Schema
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure

_MOST_PLANTED = 64
_MOST_SCHEMAS = 16
_MOST_FACTS = 256
_IMAGE_BYTES = 32 * 2**20
_PLANTED_BYTES = 8 * 2**20
"""Of the files; what their connections hold is several times as much."""
_SHOWN_ROWS = 3
_SHOWN_CHARS = 200
_DISPROVES = frozenset({"exec_error"})
"""Failures that are the statement's own where the gold has none; time and memory are ours."""


@dataclass(slots=True)
class _Copy:
    """A planted copy: the gold's view of it, and the prediction's."""

    golds: Golds
    predictions: Connection
    size: int

    def close(self) -> None:
        self.golds.close()
        self.predictions.close()


class CopyJudge:
    """Kept in a worker: copies as bytes, planted copies, schemas; all bounded."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._images: OrderedDict[str, bytes] = OrderedDict()
        self._planted: OrderedDict[tuple[Any, ...], _Copy] = OrderedDict()
        self._schemas: OrderedDict[str, Schema] = OrderedDict()
        self._facts: OrderedDict[tuple[str, str], Facts] = OrderedDict()

    def judge(self, task: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """An answer for each prediction, in order, as it is found.

        `task`: `copies` (paths, instance 0 first), `golds`, `predictions` (SQL that matched on the
        original), `metric`, `seed`, `timeout_s` for one statement, `budget_s` for all. Optional
        `held`: for each prediction the places of the golds that it matched; default all.

        An answer: `instances`, `usable` (copies looked at on which the gold's answer is
        determinate), `held` (those on which the match held), `complete` (False when the budget ran
        out or a copy could not be used), `counterexample` (None, or `instance`, `kind`, `message`
        and, cut, `gold_rows` and `predicted_rows`). The first counterexample ends the search. With
        several golds the best counts.
        """
        until = time.monotonic() + task["budget_s"]
        every = list(range(len(task["golds"])))
        held = task.get("held") or [every] * len(task["predictions"])
        for sql, places in zip(task["predictions"], held, strict=True):
            yield self._best(task, sql, [task["golds"][n] for n in places], until)

    def _best(
        self, task: dict[str, Any], sql: str, golds: list[str], until: float
    ) -> dict[str, Any]:
        answers = []
        for gold in golds:
            answers.append(self._pair(task, gold, sql, until))
            if not answers[-1]["counterexample"]:
                break
        return answers[-1]

    def _pair(self, task: dict[str, Any], gold: str, sql: str, until: float) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "instances": len(task["copies"]),
            "usable": 0,
            "held": 0,
            "complete": True,
            "counterexample": None,
        }
        for instance, path in enumerate(task["copies"]):
            if time.monotonic() > until:
                return answer | {"complete": False}
            try:
                found = self._instance(task, instance, path, gold, sql)
            except (sqlite3.Error, OSError, MemoryError, Failure):
                # Evicted, too large for this worker, or kept from the processor.
                answer["complete"] = False
                continue
            if found is None:
                continue
            answer["usable"] += 1
            if found:
                return answer | {"counterexample": found}
            answer["held"] += 1
        return answer

    def _instance(
        self, task: dict[str, Any], instance: int, path: str, gold: str, sql: str
    ) -> dict[str, Any] | None:
        """None where nothing can be said, empty where the match holds, else the counterexample.

        Raises Failure for one of ours.
        """
        facts = (self._facts_of(path, gold), self._facts_of(path, sql))
        kind = kind_of(instance)
        if kind.link_nulls and kind.empty < 1 and any(each.not_in for each in facts):
            return None  # one NULL empties a NOT IN, which equivalent queries need not share
        found: dict[str, Any] | None = None
        for variant in range(kind.variants):
            copy = self._copy(path, instance, variant, task["seed"], facts)
            outcome = self._variant(task, instance, copy, gold, sql)
            if outcome:
                return outcome
            found = outcome if found is None else found
        return found

    def _variant(
        self, task: dict[str, Any], instance: int, copy: "_Copy", gold: str, sql: str
    ) -> dict[str, Any] | None:
        answer = copy.golds.answer(gold, task["metric"], task["timeout_s"])
        if answer is None:
            return None
        try:
            rows, columns = rows_of(copy.predictions, sql, task["timeout_s"])
        except Failure as failure:
            if failure.status == "infra_error":
                raise
            return _shown(instance, answer, [], failure) if failure.status in _DISPROVES else None
        if same(task["metric"], answer, rows, columns):
            return {}
        return _shown(instance, answer, rows, None)

    # -- what is kept ------------------------------------------------------------------------

    def _copy(
        self, path: str, instance: int, variant: int, seed: int, facts: tuple[Facts, Facts]
    ) -> _Copy:
        distinct = facts[:1] if facts[1] == facts[0] else facts
        key = (path, variant, seed, *distinct)
        if key not in self._planted:
            self._make_room()
            db = from_image(self._image(path))
            try:
                random = Random(f"{seed}/{instance}/{variant}/{distinct!r}")  # noqa: S311
                kind = kind_of(instance)
                if any(each.not_in for each in facts):
                    kind = replace(kind, link_nulls=0.0)
                plant(db, self._schema(path), distinct, kind, random, variant)
                image = db.serialize()
            finally:
                db.close()
            predictions = Connection("", self._limits, from_image(image))
            self._planted[key] = _Copy(Golds(image, self._limits), predictions, len(image))
        self._planted.move_to_end(key)
        return self._planted[key]

    def _make_room(self) -> None:
        size = sum(copy.size for copy in self._planted.values())
        while self._planted and (len(self._planted) >= _MOST_PLANTED or size > _PLANTED_BYTES):
            _, copy = self._planted.popitem(last=False)
            size -= copy.size
            copy.close()

    def _image(self, path: str) -> bytes:
        if path not in self._images:
            self._images[path] = Path(path).read_bytes()
            while sum(map(len, self._images.values())) > _IMAGE_BYTES and len(self._images) > 1:
                self._images.popitem(last=False)
        self._images.move_to_end(path)
        return self._images[path]

    def _schema(self, path: str) -> Schema:
        folder = str(Path(path).parent)
        if folder not in self._schemas:
            while len(self._schemas) >= _MOST_SCHEMAS:
                self._schemas.popitem(last=False)
            manifest = json.loads((Path(folder) / "manifest.json").read_text())
            self._schemas[folder] = Schema.from_json(manifest["schema"])
        return self._schemas[folder]

    def _facts_of(self, path: str, sql: str) -> Facts:
        key = (str(Path(path).parent), sql)
        if key not in self._facts:
            while len(self._facts) >= _MOST_FACTS:
                self._facts.popitem(last=False)
            self._facts[key] = facts_of(sql, self._schema(path))
        return self._facts[key]


def _shown(instance: int, gold: Answer, rows: list[Row], failure: Failure | None) -> dict[str, Any]:
    """A counterexample, cut to a few rows: those that only one side has come first."""
    mine, theirs = set(rows), set(gold.rows)
    return {
        "instance": instance,
        "kind": kind_of(instance).name,
        "gold_rows": _cut(sorted(gold.rows, key=lambda row: row in mine)),
        "predicted_rows": _cut(sorted(rows, key=lambda row: row in theirs)),
        "message": failure.message[:_SHOWN_CHARS] if failure else None,
    }


def _cut(rows: list[Row]) -> list[list[Any]]:
    return [[_plain(value) for value in row[:20]] for row in rows[:_SHOWN_ROWS]]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"blob": value[:_SHOWN_CHARS].hex()}
    if isinstance(value, str):
        return value[:_SHOWN_CHARS]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value
