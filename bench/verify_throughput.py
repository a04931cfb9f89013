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
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import figures
from bench.batch_client import scores, verify_all
from bench.bird_baseline import cpu_s, evaluate
from bench.constructed_groups import constructed, without_runaways
from bench.judge_groups import describe, read_groups
from bench.labelled_pairs import DATA
from bench.service_process import Running, service
from bench.verify_work import Work, group_work, labelled_work, within


@dataclass(frozen=True, slots=True)
class Round:
    """Verdicts a second, CPU in ms a verdict (for the service also by part), seconds in all."""

    per_s: float
    cpu_ms: float
    wall_s: float
    parts_ms: dict[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> None:
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
    given = parser.parse_args(arguments)
    facts = figures.machine()
    with TemporaryDirectory(prefix="verisql-bench-") as scratch:
        if given.what == "pairs":
            work, about = labelled_work(given.data, Path(scratch)), dict[str, Any]()
        else:
            work, about = _groups(given)
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
    count = len(work.pairs)
    return done.verdicts, Round(count / done.wall_s, 1000 * done.cpu_s / count, done.wall_s)


def _service_round(work: Work) -> tuple[list[int], Round]:
    with service(data_dir=str(work.data_dir), engine="off", workers=2) as running:
        if work.warm_up:
            verify_all(running.url, work.warm_up, messages=1)
        before, start = _cpu_by_part(running), time.perf_counter()
        answers = verify_all(running.url, work.items)
        wall_s, after = time.perf_counter() - start, _cpu_by_part(running)
    verdicts = [int(v) for group in scores(work.items, answers) for v in group]
    count = len(verdicts)
    parts = {name: 1000 * (after[name] - before[name]) / count for name in after}
    return verdicts, Round(count / wall_s, sum(parts.values()), wall_s, parts)


def _cpu_by_part(running: Running) -> dict[str, float]:
    return {
        "client": cpu_s(),
        "service": running.service_cpu_s(),
        "workers": running.workers_cpu_s(),
    }


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

    def parts(name: str) -> dict[str, float]:
        return figures.spread([r.parts_ms[name] for r in ours])

    both = list(zip(baseline, ours, strict=True))
    found = {
        "verdicts_a_round": count,
        "baseline_per_s": of(baseline, lambda r: r.per_s),
        "service_per_s": of(ours, lambda r: r.per_s),
        "baseline_cpu_ms_per_verdict": of(baseline, lambda r: r.cpu_ms),
        "service_cpu_ms_per_verdict": of(ours, lambda r: r.cpu_ms),
        **{f"of_which_{name}": parts(name) for name in ours[0].parts_ms},
        "times_per_s": figures.spread([b.per_s / a.per_s for a, b in both]),
        "times_cpu": figures.spread([a.cpu_ms / b.cpu_ms for a, b in both]),
    }
    for name, value in found.items():
        print(f"{name}: {figures.shown(value) if isinstance(value, dict) else value}")
    return found


def _groups(given: argparse.Namespace) -> tuple[Work, dict[str, Any]]:
    rows = [row for row in read_groups() if row["temperature"] == given.temperature]
    rows = rows if given.set == "real" else constructed(rows, given.set)
    about = {"set": given.set, "questions_of": len(rows)}
    about["runaway_share_left_out"] = describe(rows)["runaway_share"]
    rows = within(without_runaways(rows), 2 * given.budget)
    about |= describe(rows)
    print(about, flush=True)
    return group_work(rows, given.databases), about


if __name__ == "__main__":
    main()
