"""Judge the sampled groups once, plainly, and say how diverse and how right they are.

    python -m bench.judge_groups DATABASES

Adds to each line of `data/grpo_groups.jsonl`, for each completion: `right` (0 or 1, BIRD's set
comparison) and `ms`, what SQLite alone takes to run and fetch it (-1 when it fails, -2 when it is
stopped after 5 s: a runaway). `gold_ms` likewise. The benches leave runaways out and say how many.
"""

import argparse
import json
import sqlite3
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.large_databases import build
from bench.sample_groups import GROUPS
from service.text2sql.completion import extract_sql

Row = dict[str, Any]
FAILED, RUNAWAY = -1.0, -2.0
_LIMIT_S = 5.0


def main() -> None:
    """Judge what is not judged, then print the means by temperature."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("databases", type=Path)
    parser.add_argument("--groups", type=Path, default=GROUPS)
    given = parser.parse_args()
    rows = read_groups(given.groups)
    for row in rows:
        if "right" not in row:
            row |= judged(build(given.databases, row["db_id"]), row)
    given.groups.write_text("".join(json.dumps(row) + "\n" for row in rows))
    by_temperature = defaultdict(list)
    for row in rows:
        by_temperature[row["temperature"]].append(row)
    for temperature, group in by_temperature.items():
        print(f"temperature {temperature}: {describe(group)}")


def read_groups(path: Path = GROUPS) -> list[Row]:
    """One row a question and temperature."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def sql_of(completion: str) -> str:
    """The SQL in a completion; where there is none the text itself, which fails as SQL."""
    return extract_sql(completion, "auto") or completion.strip() or "-"


def judged(path: Path, row: Row) -> Row:
    """`right`, `ms` and `gold_ms` of one group."""
    gold, gold_ms = _run(path, row["gold_sql"])
    found = {sql: _run(path, sql) for sql in set(map(sql_of, row["completions"]))}
    answers = [found[sql_of(completion)] for completion in row["completions"]]
    return {
        "right": [int(rows is not None and rows == gold) for rows, _ in answers],
        "ms": [ms for _, ms in answers],
        "gold_ms": gold_ms,
    }


def describe(rows: Sequence[Row]) -> dict[str, float]:
    """Means over groups, shares over completions."""
    sqls = [[sql_of(completion) for completion in row["completions"]] for row in rows]
    ms = [ms for row in rows for ms in row["ms"]]
    right = [right for row in rows for right in row["right"]]
    found = {
        "groups": len(rows),
        "completions_a_group": len(ms) / len(rows),
        "distinct_completions_a_group": statistics.mean(len(set(r["completions"])) for r in rows),
        "distinct_sql_a_group": statistics.mean(len(set(group)) for group in sqls),
        "commonest_sql_share": statistics.mean(
            Counter(group).most_common(1)[0][1] / len(group) for group in sqls
        ),
        "right_share": statistics.mean(right),
        "failing_share": ms.count(FAILED) / len(ms),
        "runaway_share": ms.count(RUNAWAY) / len(ms),
        "gold_ms_median": statistics.median(row["gold_ms"] for row in rows),
        "gold_ms_max": max(row["gold_ms"] for row in rows),
    }
    return {name: round(value, 3) for name, value in found.items()}


def _run(path: Path, sql: str) -> tuple[set[Any] | None, float]:
    uri = f"file:{path}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        start = time.perf_counter()
        end = start + _LIMIT_S
        connection.set_progress_handler(lambda: time.perf_counter() > end, 10_000)
        try:
            rows = set(connection.execute(sql).fetchall())
        except (sqlite3.Error, sqlite3.Warning, MemoryError) as error:
            return None, RUNAWAY if "interrupted" in str(error) else FAILED
        return rows, round((time.perf_counter() - start) * 1000, 3)


if __name__ == "__main__":
    main()
