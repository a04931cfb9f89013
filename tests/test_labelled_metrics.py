"""Each metric against the verdicts of the unmodified evaluators, where they are at hand.

`labelled_pairs.jsonl` and its databases are not part of the project. They are looked for in
TEST_DATA_DIR, or in a folder `shared/data` beside the checkout.
"""

import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from service.text2sql.compare.metrics import METRICS
from service.text2sql.compare.rows import GoldRows, Row

DATA = Path(os.environ.get("TEST_DATA_DIR", Path(__file__).parents[2] / "shared" / "data"))
PAIRS = DATA / "labelled_pairs.jsonl"
RECORDED = {
    "bird_ex": "bird_ex",
    "bird_r_ves": "bird_ex",
    "bird_soft_f1": "soft_f1",
    "spider_exec": "spider_exec",
    "spider_exec_keep_distinct": "spider_exec_keep_distinct",
    "spider2_lite": "nemo_spider2",
}
READING = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
FAILURES = (sqlite3.Error, sqlite3.Warning, ValueError)
Result = tuple[int, list[Row]]

pytestmark = pytest.mark.skipif(not PAIRS.exists(), reason=f"labelled pairs: no {PAIRS.name}")


def _pairs() -> list[dict[str, Any]]:
    return [json.loads(line) for line in PAIRS.read_text().splitlines()]


def _by_database() -> Iterator[tuple[Path, list[dict[str, Any]]]]:
    paths = {path.stem: path for path in DATA.glob("*/databases/*/*.sqlite")}
    pairs = sorted(_pairs(), key=lambda pair: (pair["db"], pair["gold"]))
    for db_id, group in groupby(pairs, key=lambda pair: pair["db"]):
        yield paths[db_id], list(group)


class _Database:
    """Runs a statement read-only, for 10 seconds at most; None where it fails."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._stop_at = float("inf")
        db.set_authorizer(lambda action, *_: 0 if action in READING else 1)
        db.set_progress_handler(lambda: time.monotonic() > self._stop_at, 10_000)
        self.run = lru_cache(maxsize=1000)(self._run)

    def _run(self, sql: str, lenient: bool) -> Result | None:
        self._stop_at = time.monotonic() + 10
        self._db.text_factory = _leave_out if lenient else str
        try:
            cursor = self._db.execute(sql)
            return len(cursor.description or ()), cursor.fetchall()
        except FAILURES:
            return None


def _leave_out(text: bytes) -> str:
    return text.decode(errors="ignore")


def _value(metric: str, database: _Database, pair: dict[str, Any]) -> float:
    comparison = METRICS[metric]
    gold_sql, sql = comparison.prepare(pair["gold"]), comparison.prepare(pair["pred"])
    assert gold_sql
    gold = database.run(gold_sql, comparison.lenient_text)
    prediction = None if sql is None else database.run(sql, comparison.lenient_text)
    assert gold, pair["id"]
    if not prediction:
        return 0.0
    columns, rows = prediction
    judge = comparison.judge(GoldRows(gold_sql, *gold), columns)
    fed = all(judge.feed(rows[at : at + 64]) for at in range(0, len(rows), 64))
    return judge.value() if fed else 0.0


def test_every_recorded_verdict_of_every_evaluator_is_given() -> None:
    wrong, judged = [], Counter[str]()
    for path, pairs in _by_database():
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            database = _Database(db)
            for pair in pairs:
                for metric, column in RECORDED.items():
                    if (recorded := pair.get(column)) is None:
                        continue
                    # "exc:IndexError": the evaluator crashed on an empty prediction.
                    expected = 0.0 if isinstance(recorded, str) else recorded
                    judged[metric] += 1
                    if abs(_value(metric, database, pair) - expected) > 1e-9:
                        wrong.append((metric, pair["id"], recorded, pair["gold"], pair["pred"]))
    assert wrong == []
    assert set(judged) == set(RECORDED)
    assert min(judged.values()) > 0.9 * max(judged.values())


def test_time_rewards_are_in_their_buckets_and_zero_where_bird_ex_is() -> None:
    timed = [pair for pair in _pairs() if pair.get("r_ves_iter100") is not None]
    assert timed
    for pair in timed:
        for reward in (pair["r_ves_iter10"], pair["r_ves_iter100"]):
            assert reward in (0, 0.25, 0.5, 0.75, 1, 1.25)
            assert (reward == 0) is (pair["bird_ex"] == 0)
