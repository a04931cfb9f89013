"""Look for a database that tells two queries apart: a search much larger than the one it judges.

Independent of service/sandbox/copies but for what a usable gold is: another generator, hundreds of
small instances, cells drawn from few values (the queries' literals, values beside them, the
database's own), rows random, only DECLARED constraints kept. What it finds could be found.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import sqlglot
from sqlglot import exp

from service.sandbox.copies.answers import same
from service.sandbox.copies.golds import Golds, from_image, rows_of
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure

_SIZES = (0, 1, 2, 2, 3, 4, 6, 9, 14)
_TIMEOUT_S = 0.3


def told_apart(
    database: Path, gold: str, predicted: str, metric: str, seed: int, instances: int
) -> int | None:
    """The number of the first instance that tells the queries apart, None if none does."""
    generator = _Generator(database, gold, predicted)
    for number in range(instances):
        image = generator.instance(Random(f"search/{seed}/{number}"))
        if image and _differ(image, gold, predicted, metric):
            return number
    return None


def _differ(image: bytes, gold: str, predicted: str, metric: str) -> bool:
    limits = Limits()
    with closing(Golds(image, limits)) as golds:
        answer = golds.answer(gold, metric, _TIMEOUT_S)
    if answer is None:
        return False
    with closing(Connection("", limits, from_image(image))) as connection:
        try:
            rows, columns = rows_of(connection, predicted, _TIMEOUT_S)
        except Failure as failure:
            return failure.status == "exec_error"
    return not same(metric, answer, rows, columns)


class _Generator:
    def __init__(self, database: Path, gold: str, predicted: str) -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            db.text_factory = lambda raw: raw.decode(errors="replace")
            self._tables = [
                _Table(db, name, sql)
                for name, sql in db.execute(
                    "SELECT name, sql FROM sqlite_master WHERE type = 'table' "
                    "AND substr(name, 1, 7) <> 'sqlite_'"
                ).fetchall()
            ]
            self._views = [
                sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'view'")
            ]
        self._literals = list(_literals(gold)) + list(_literals(predicted))
        self._used = self._closure(f"{gold} {predicted}".lower())

    def _closure(self, text: str) -> list["_Table"]:
        """The tables that the queries name, and the parents of those."""
        used = {t.name.lower() for t in self._tables if t.name.lower() in text or self._views}
        for _ in self._tables:
            for table in self._tables:
                if table.name.lower() in used:
                    used |= {parent.lower() for _, parent, _ in table.foreign}
        return [table for table in self._tables if table.name.lower() in used]

    def instance(self, random: Random) -> bytes:
        """A database as bytes; empty if its constraints cannot be met."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
            for table in self._tables:
                db.execute(table.sql)
            rows: dict[str, list[list[Any]]] = {}
            nulls = random.choice((0.0, 0.0, 0.1, 0.3))
            for _ in range(2):  # the second time cycles of foreign keys find their parents
                for table in self._used:
                    rows[table.name] = self._rows(table, rows, nulls, random)
            for table in self._used:
                marks = ",".join("?" * len(table.columns))
                for row in rows[table.name]:
                    with suppress(sqlite3.Error, OverflowError):
                        db.execute(f"INSERT OR IGNORE INTO {_q(table.name)} VALUES ({marks})", row)
            for sql in self._views:
                with suppress(sqlite3.Error):
                    db.execute(sql)
            _drop_violations(db)
            return db.serialize()

    def _rows(
        self, table: "_Table", made: dict[str, list[list[Any]]], nulls: float, random: Random
    ) -> list[list[Any]]:
        palettes = [self._palette(table, n, random) for n in range(len(table.columns))]
        rows = []
        for _ in range(random.choice(_SIZES)):
            row = [
                None
                if not table.not_null[n] and random.random() < nulls
                else random.choice(palettes[n])
                for n in range(len(table.columns))
            ]
            for columns, parent, targets in table.foreign:
                self._point(row, columns, parent, targets, made, random)
            rows.append(row)
        return rows

    def _point(
        self,
        row: list[Any],
        columns: tuple[int, ...],
        parent: str,
        targets: tuple[str, ...],
        made: dict[str, list[list[Any]]],
        random: Random,
    ) -> None:
        owner = next((t for t in self._tables if t.name.lower() == parent.lower()), None)
        parents = made.get(owner.name) if owner else None
        if not owner or not parents or any(row[n] is None for n in columns):
            return
        places = [owner.place(name) for name in targets] if targets else list(owner.key)
        chosen = random.choice(parents)
        for n, place in zip(columns, places, strict=False):
            if place is not None:
                row[n] = chosen[place]

    def _palette(self, table: "_Table", n: int, random: Random) -> list[Any]:
        """The few values that a column takes in this instance."""
        kind = table.kinds[n]
        fitting = [v for literal in self._literals for v in _beside(literal, kind)]
        own = random.sample(table.seen[n], min(4, len(table.seen[n])))
        fillers = [1, 2, 3, 10] if kind in ("int", "real") else ["a", "b", "ab"]
        weighted = [(fitting, 0.5), (own, 0.35), (fillers, 0.15)]
        size = random.choice((2, 3, 5, 8)) if n not in table.key else 12
        pools = [pool for pool, share in weighted if pool for _ in range(int(share * 20))]
        palette = [random.choice(random.choice(pools)) for _ in range(size)]
        if n in table.key and kind == "int":
            palette += range(1, 9)
        return palette


class _Table:
    def __init__(self, db: sqlite3.Connection, name: str, sql: str) -> None:
        self.name, self.sql = name, sql
        info = db.execute(f"PRAGMA table_info({_q(name)})").fetchall()
        self.columns = [row[1] for row in info]
        self.key = tuple(n for _, n in sorted((row[5], n) for n, row in enumerate(info) if row[5]))
        self.not_null = [bool(row[3] or row[5]) for row in info]
        self.seen = []
        self.kinds = []
        for row in info:
            values = [
                value
                for (value,) in db.execute(
                    f"SELECT DISTINCT {_q(row[1])} FROM {_q(name)} LIMIT 50"
                ).fetchall()
                if value is not None
            ]
            self.seen.append(values)
            self.kinds.append(_kind(values, row[2].upper()))
        keys: dict[int, list[Any]] = {}
        for part in db.execute(f"PRAGMA foreign_key_list({_q(name)})"):
            keys.setdefault(part[0], []).append(part)
        self.foreign = [
            (
                tuple(p for part in parts if (p := self.place(part[3])) is not None),
                parts[0][2],
                tuple(part[4] for part in parts if part[4]),
            )
            for parts in keys.values()
        ]

    def place(self, column: str) -> int | None:
        names = [name.lower() for name in self.columns]
        return names.index(column.lower()) if column.lower() in names else None


def _kind(values: list[Any], declared: str) -> str:
    if any(isinstance(v, str) for v in values):
        return "text"
    if any(isinstance(v, float) for v in values):
        return "real"
    if values:
        return "real" if any(w in declared for w in ("REAL", "FLOA", "DOUB")) else "int"
    if any(w in declared for w in ("CHAR", "TEXT", "CLOB", "DATE", "TIME")):
        return "text"
    return "int" if "INT" in declared else "real"


def _literals(sql: str) -> Iterator[Any]:
    with suppress(sqlglot.errors.SqlglotError, RecursionError):
        for node in sqlglot.parse_one(sql, read="sqlite").find_all(exp.Literal, exp.Column):
            if isinstance(node, exp.Column):
                if node.this.args.get("quoted") and not node.table:
                    yield node.name
            elif node.is_string:
                yield node.name
            else:
                yield float(node.this) if "." in node.this else int(node.this)


def _beside(literal: Any, kind: str) -> list[Any]:
    if kind == "text":
        text = str(literal)
        bare = text.replace("%", "").replace("_", "a")
        return [text, bare, bare + "x", "x" + bare, bare.upper(), bare.lower(), bare[:-1], bare]
    try:
        number = float(literal)
    except ValueError:
        return []
    whole = int(number) if abs(number) < 1e15 else 0
    steps = [whole, whole, whole - 1, whole + 1]
    return steps if kind == "int" else [number, number, number - 0.5, number + 0.5, *steps]


def _drop_violations(db: sqlite3.Connection) -> None:
    for _ in range(8):
        try:
            found = db.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error:
            return
        if not found:
            return
        for name, rowid, _, _ in found:
            if rowid is not None:
                db.execute(f"DELETE FROM {_q(name)} WHERE rowid = ?", (rowid,))
            else:
                db.execute(f"DELETE FROM {_q(name)}")


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
