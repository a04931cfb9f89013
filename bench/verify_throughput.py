"""Verdicts a second of `/verify/batch` against BIRD's way of doing it, side by side in one run.

    python -m bench.verify_throughput pairs --results DIR
    python -m bench.verify_throughput groups DATABASES --set mid_training --results DIR

Both have 2 processes for SQL on the same cores; rounds alternate, A B A B. A round of the service
has a new process with a new home, so no verdict, gold or database hash is known. CPU is that of
service, workers and client together, or of the baseline and its pool.

pairs    every distinct labelled pair that is not hostile, once, cold; the service gets them by
         database and gold, as a trainer sends them. Verdicts must be the recorded ones.
groups   16 predictions a question on large databases (sample_groups.py, or constructed from them).
         The gold was seen before: one untimed request a gold with a prediction that is wrong.
         Runaways (over 5 s) are left out, questions too until a round of the baseline takes about
         --budget seconds. The time for taking SQL out of the completions is the service's alone.
         Verdicts must be the baseline's.
"""

import argparse
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import figures
from bench.batch_client import Item, scores, verify_all
from bench.bird_baseline import Pair, cpu_s, evaluate
from bench.constructed_groups import constructed, without_runaways
from bench.judge_groups import describe, read_groups, sql_of
from bench.labelled_pairs import DATA, copy_databases, groups, read_pairs
from bench.large_databases import build
from bench.service_process import service

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


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement."""

    per_s: float
    cpu_ms: float
    wall_s: float


def main() -> None:
    """Measure one of the two; exit code 1 when a verdict is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["pairs", "groups"])
    parser.add_argument("databases", type=Path, nargs="?", help="folder of large_databases.py")
    parser.add_argument("--set", default="real", choices=["real", "sharpened", "mid_training"])
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--budget", type=float, default=90.0, help="seconds of a baseline round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    facts = figures.machine()
    with TemporaryDirectory(prefix="verisql-bench-") as scratch:
        work, about = _pairs(given, scratch) if given.what == "pairs" else _groups(given)
        found = about | compare(work, given.rounds)
    name = given.what if given.what == "pairs" else f"groups_{given.set}_{given.temperature:g}"
    figures.report(given.results, f"verify_throughput_{name}", found, facts)


def compare(work: Work, rounds: int) -> dict[str, Any]:
    """Rounds of both in turn; raises SystemExit when a verdict is not the expected one."""
    baseline: list[Round] = []
    ours: list[Round] = []
    for number in range(rounds):
        verdicts, measured = _baseline_round(work)
        baseline.append(measured)
        expected = work.recorded or verdicts
        _must_equal(verdicts, expected, "the baseline")
        verdicts, measured = _service_round(work)
        ours.append(measured)
        _must_equal(verdicts, expected, "the service")
        _say(number, baseline[-1], ours[-1])
    return _figures(len(work.pairs), baseline, ours)


def _baseline_round(work: Work) -> tuple[list[int], Round]:
    done = evaluate(work.pairs, workers=2)
    return done.verdicts, _round(len(work.pairs), done.wall_s, done.cpu_s)


def _service_round(work: Work) -> tuple[list[int], Round]:
    with service(data_dir=str(work.data_dir), engine="off", workers=2) as running:
        if work.warm_up:
            verify_all(running.url, work.warm_up, messages=1)
        wall, cpu = time.perf_counter(), cpu_s() + running.cpu_s()
        answers = verify_all(running.url, work.items)
        wall, cpu = time.perf_counter() - wall, cpu_s() + running.cpu_s() - cpu
    verdicts = [int(v) for group in scores(work.items, answers) for v in group]
    return verdicts, _round(len(work.pairs), wall, cpu)


def _round(count: int, wall_s: float, cpu: float) -> Round:
    return Round(count / wall_s, cpu / count * 1000, wall_s)


def _must_equal(verdicts: Sequence[int], expected: Sequence[int], whose: str) -> None:
    wrong = [i for i, (a, b) in enumerate(zip(verdicts, expected, strict=True)) if a != b]
    if wrong:
        raise SystemExit(f"{whose} gives {len(wrong)} other verdicts, the first at {wrong[:10]}")


def _say(number: int, baseline: Round, ours: Round) -> None:
    print(
        f"round {number + 1}: baseline {baseline.per_s:.0f}/s, {baseline.cpu_ms:.3f} ms of CPU, "
        f"{baseline.wall_s:.1f} s; service {ours.per_s:.0f}/s, {ours.cpu_ms:.3f} ms of CPU, "
        f"{ours.wall_s:.1f} s; {ours.per_s / baseline.per_s:.2f} times",
        flush=True,
    )


def _figures(count: int, baseline: Sequence[Round], ours: Sequence[Round]) -> dict[str, Any]:
    def of(rounds: Sequence[Round], value: Callable[[Round], float]) -> dict[str, float]:
        return figures.spread([value(r) for r in rounds])

    both = list(zip(baseline, ours, strict=True))
    found = {
        "verdicts_a_round": count,
        "baseline_per_s": of(baseline, lambda r: r.per_s),
        "service_per_s": of(ours, lambda r: r.per_s),
        "baseline_cpu_ms_per_verdict": of(baseline, lambda r: r.cpu_ms),
        "service_cpu_ms_per_verdict": of(ours, lambda r: r.cpu_ms),
        "times_per_s": figures.spread([b.per_s / a.per_s for a, b in both]),
        "times_cpu": figures.spread([a.cpu_ms / b.cpu_ms for a, b in both]),
    }
    for name, value in found.items():
        print(f"{name}: {figures.shown(value) if isinstance(value, dict) else value}")
    return found


def _pairs(given: argparse.Namespace, scratch: str) -> tuple[Work, dict[str, Any]]:
    grouped = groups(read_pairs(given.data))
    paths = copy_databases(given.data, Path(scratch))
    rows = [row for group in grouped for row in group]
    items = [
        {"db_id": g[0]["db"], "gold_sql": g[0]["gold"], "predictions": [row["pred"] for row in g]}
        for g in grouped
    ]
    pairs = [(paths[row["db"]], row["gold"], row["pred"]) for row in rows]
    return Work(pairs, items, given.data, [row["bird_ex"] for row in rows]), {"items": len(items)}


def _groups(given: argparse.Namespace) -> tuple[Work, dict[str, Any]]:
    rows = [row for row in read_groups() if row["temperature"] == given.temperature]
    rows = rows if given.set == "real" else constructed(rows, given.set)
    all_of_them = len(rows)
    runaways = describe(rows)["runaway_share"]
    rows = within(without_runaways(rows), 2 * given.budget)
    about = {"set": given.set, "questions_of": all_of_them, "runaway_share_left_out": runaways}
    about |= describe(rows)
    print(about, flush=True)
    return _work_of(rows, given.databases), about


def _work_of(rows: Sequence[dict[str, Any]], databases: Path) -> Work:
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


if __name__ == "__main__":
    main()
