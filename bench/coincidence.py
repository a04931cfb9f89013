"""How many wrong predictions that match on the original database altered copies find.

    python -m bench.coincidence DATA_FOLDER... --questions 200 --instances 8

For each sampled question: mutants of the gold (mutations.py) that match it on the original under
the metric, judged on copies. Of those not found, a search with hundreds of instances of another
generator (search.py) says which could have been. Then rewritings that mean the same: each rejection
is printed. Milliseconds are for judging alone, in this process, one prediction at a time.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from math import sqrt
from pathlib import Path
from random import Random
from typing import Any

from bench.mutations import mutants
from bench.rewritings import rewritings
from bench.search import told_apart
from bench.trees import Columns
from service.sandbox.copies.answers import Answer, same
from service.sandbox.copies.golds import Golds, rows_of
from service.sandbox.copies.judge import CopyJudge
from service.sandbox.copies.schema import affinity
from service.sandbox.limits import Limits
from service.sandbox.sqlite import Connection, Failure
from service.text2sql.copies import Copies
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.types import Robust


def main() -> None:
    """Print the figures."""
    given = _arguments()
    registry = DatabaseRegistry.scan(given.data)
    questions = list(_questions(given.data))
    Random(given.sample).shuffle(questions)
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(given, registry, Copies(Path(folder)))
        for db_id, gold in questions[: given.questions]:
            run.question(db_id, gold)
        run.report()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--instances", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=1, help="seed of the choice of questions")
    parser.add_argument("--search", type=int, default=300, help="instances of the larger search")
    parser.add_argument("--metric", default="bird_ex")
    parser.add_argument("--show", action="store_true", help="print what was missed")
    return parser.parse_args()


def _questions(folders: list[Path]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            for question in json.loads(path.read_text()):
                yield question["db_id"], question.get("SQL") or question["query"]


class _Run:
    def __init__(
        self, given: argparse.Namespace, registry: DatabaseRegistry, copies: Copies
    ) -> None:
        self._given, self._registry, self._copies = given, registry, copies
        self._judge = CopyJudge(Limits())
        self._tables: dict[str, Columns] = {}
        self._kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self._found_by: Counter[str] = Counter()
        self._equal: Counter[str] = Counter()
        self._golds: Counter[str] = Counter()
        self._ms: list[float] = []

    def question(self, db_id: str, gold: str) -> None:
        """Judge the mutants and rewritings of one gold."""
        database = self._registry.get(db_id)
        original = _Original(database, self._given.metric)
        if not original.take(gold):
            self._golds["not determinate"] += 1
            return
        self._golds["used"] += 1
        columns = self._columns(database)
        for kind, sql in [*mutants(gold, columns), *original.constants()]:
            if original.matches(sql):
                self._mutant(database, gold, kind, sql)
        for kind, sql in rewritings(gold, columns):
            if original.matches(sql):
                self._rewriting(database, gold, kind, sql)

    def _mutant(self, database: Database, gold: str, kind: str, sql: str) -> None:
        answer = self._judged(database, gold, sql)
        if answer["counterexample"]:
            self._kinds[kind]["found"] += 1
            self._found_by[answer["counterexample"]["kind"]] += 1
            return
        given = self._given
        at = told_apart(database.path, gold, sql, given.metric, 10**6, given.search)
        outcome = "missed" if at is not None else "no data found"
        self._kinds[kind][outcome] += 1
        if at is not None and given.show:
            print(f"MISSED {kind} [{at}] usable {answer['usable']} {database.db_id}")
            print(f"   {gold}\n   {sql}", flush=True)

    def _rewriting(self, database: Database, gold: str, kind: str, sql: str) -> None:
        answer = self._judged(database, gold, sql)
        self._equal["held" if not answer["counterexample"] else "rejected"] += 1
        self._equal["with a usable copy"] += bool(answer["usable"])
        if answer["counterexample"]:
            print(f"REJECTED {kind} {database.db_id}\n   {gold}\n   {sql}")
            print(f"   {answer['counterexample']}", flush=True)

    def _judged(self, database: Database, gold: str, sql: str) -> dict[str, Any]:
        given = self._given
        sha256 = self._registry.sha256(database.db_id)
        robust = Robust(given.instances, given.seed)
        paths = asyncio.run(self._copies.get(database, sha256, robust))
        start = time.perf_counter()
        task = {"copies": list(map(str, paths)), "golds": [gold], "predictions": [sql]}
        bounds = {"metric": given.metric, "seed": given.seed, "timeout_s": 1.0, "budget_s": 30.0}
        answer = next(self._judge.judge(task | bounds))
        self._ms.append((time.perf_counter() - start) * 1000)
        return answer

    def _columns(self, database: Database) -> Columns:
        if database.db_id not in self._tables:
            with closing(sqlite3.connect(f"file:{database.path}?mode=ro", uri=True)) as db:
                names = [
                    name
                    for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
                ]
                self._tables[database.db_id] = {
                    name.lower(): {
                        row[1].lower(): affinity(row[2])
                        for row in db.execute(f'PRAGMA table_info("{name}")')
                    }
                    for name in names
                }
        return self._tables[database.db_id]

    def report(self) -> None:
        """Print found of decidable with Wilson's 95 % interval, by kind and in all."""
        total: Counter[str] = Counter()
        print(f"\n{'kind':28} found decidable undecided")
        for kind, counts in sorted(self._kinds.items()):
            total += counts
            decidable = counts["found"] + counts["missed"]
            print(f"{kind:28} {counts['found']:5} {decidable:9} {counts['no data found']:9}")
        decidable = total["found"] + total["missed"]
        low, high = wilson(total["found"], decidable)
        print(f"\ngolds: {dict(self._golds)}")
        print(
            f"found {total['found']} of {decidable} that data can tell apart: "
            f"{total['found'] / max(1, decidable):.1%} (95 % interval {low:.1%} to {high:.1%})"
        )
        print(f"first counterexample on: {dict(self._found_by.most_common())}")
        print(f"rewritings: {dict(self._equal)}")
        ms = sorted(self._ms) or [0.0]
        print(
            f"ms per prediction: median {statistics.median(ms):.1f}, mean "
            f"{statistics.fmean(ms):.1f}, p95 {ms[int(0.95 * (len(ms) - 1))]:.1f}, max {ms[-1]:.0f}"
        )


class _Original:
    """The original database: does a query match the gold there?"""

    def __init__(self, database: Database, metric: str) -> None:
        self._metric, self._image = metric, database.path.read_bytes()
        self._gold: Answer | None = None
        self._connection = Connection(str(database.path), Limits())

    def take(self, gold: str) -> bool:
        """True if the gold's answer is determinate on the original."""
        with closing(Golds(self._image, Limits())) as golds:
            self._gold = golds.answer(gold, self._metric, 5.0)
        return self._gold is not None

    def constants(self) -> list[tuple[str, str]]:
        """The gold's rows written down, as a prediction that knows them would."""
        rows = self._gold.rows if self._gold else []
        plain = all(isinstance(v, int | float | str) for row in rows for v in row)
        if not plain or not 0 < len(rows) <= 30:
            return []
        listed = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows)
        return [("rows as constants", f"VALUES {listed}")]

    def matches(self, sql: str) -> bool:
        """True if the query's rows are the gold's."""
        assert self._gold
        try:
            rows, columns = rows_of(self._connection, sql, 5.0)
        except Failure:
            return False
        return same(self._metric, self._gold, rows, columns)


def _literal(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def wilson(found: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return middle - half, middle + half


if __name__ == "__main__":
    main()
