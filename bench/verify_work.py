"""The predictions of verify_throughput.py, in the baseline's form and in the service's."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.batch_client import Item
from bench.bird_baseline import Pair
from bench.judge_groups import sql_of
from bench.labelled_pairs import copy_databases, groups, read_pairs
from bench.large_databases import build

_WRONG = "SELECT 'seen', 'before', 'and', 'wrong'"


@dataclass
class Work:
    """The same predictions for both: pairs for the baseline, items for the service."""

    pairs: list[Pair]
    items: list[Item]
    data_dir: Path
    recorded: list[int] | None = None
    """Verdicts that must come out, in the order of the pairs; None takes the baseline's."""
    warm_up: list[Item] = field(default_factory=list)


def labelled_work(data: Path, scratch: Path) -> Work:
    """Every labelled pair, by database and gold; the baseline gets copies in `scratch`."""
    grouped = groups(read_pairs(data))
    paths = copy_databases(data, scratch)
    rows = [row for group in grouped for row in group]
    items = [
        {"db_id": g[0]["db"], "gold_sql": g[0]["gold"], "predictions": [row["pred"] for row in g]}
        for g in grouped
    ]
    pairs = [(paths[row["db"]], row["gold"], row["pred"]) for row in rows]
    return Work(pairs, items, data, [row["bird_ex"] for row in rows])


def group_work(rows: Sequence[dict[str, Any]], databases: Path) -> Work:
    """The baseline opens its databases for writing, so it has copies, beside the originals."""
    copies = {db_id: _copy(build(databases, db_id)) for db_id in {row["db_id"] for row in rows}}
    items = [
        {
            "db_id": row["db_id"],
            "gold_sql": row["gold_sql"],
            "predictions": row["completions"],
            "extract": "auto",
        }
        for row in rows
    ]
    pairs = [
        (str(copies[row["db_id"]]), row["gold_sql"], sql_of(completion))
        for row in rows
        for completion in row["completions"]
    ]
    return Work(pairs, items, databases, None, [i | {"predictions": [_WRONG]} for i in items])


def within(rows: Sequence[dict[str, Any]], budget_s: float) -> list[dict[str, Any]]:
    """Questions from all databases until the baseline's CPU time for them reaches the budget."""
    kept: list[dict[str, Any]] = []
    spent = 0.0
    for place in sorted(range(len(rows)), key=lambda i: (i * 29) % (len(rows) + 1)):
        row = rows[place]
        spent += sum(ms + row["gold_ms"] for ms in row["ms"] if ms >= 0) / 1000
        if spent > budget_s and kept:
            break
        kept.append(row)
    return kept


def _copy(path: Path) -> Path:
    # A name that the service does not take for a database of its own.
    copy = path.with_name("baseline.copy")
    if not copy.exists() or copy.stat().st_size != path.stat().st_size:
        shutil.copyfile(path, copy)
    return copy
