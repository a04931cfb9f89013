"""Do memory and descriptors stay flat over 200,000 verdicts?

    python -m bench.soak --results DIR

One service, 2 workers. Messages of 32 groups of 8 honest predictions on the demo database, most of
them wrong, one query that fails in each, all new to every cache; one group in 100 has an attack
beside them (attacks.py) that runs into a deadline of 0.3 s, is refused, or ends its worker. Every
verdict is checked. `soak.csv` grows while it runs and is its progress; `soak.svg` is the curve.

Flat means: from the second quarter of the verdicts to the last one the median of the service's and
of its workers' resident memory grows by no more than 5 % or 8 MiB (--growth-mib), whichever is
more, the medians of their open descriptors by no more than 2, and the number of workers by none.
"""

import argparse
import csv
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import psutil

from bench import figures
from bench.attacks import attack
from bench.batch_client import verify_all
from bench.curve import draw
from bench.honest_load import HonestLoad, Request, wrong_verdicts
from bench.service_process import Running, service

_MESSAGE = 32
_ATTACK_EVERY = 100
_WORKERS = 2
_GROWTH, _GROWTH_FDS = 0.05, 2
_MIB = 2**20
Sample = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, draw, judge; exit code 1 when a verdict is wrong or something grew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--verdicts", type=int, default=200_000)
    parser.add_argument("--minutes", type=float, default=30.0, help="stop after, and say so")
    parser.add_argument("--growth-mib", type=float, default=8.0)
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    given = parser.parse_args(arguments)
    facts = figures.machine()
    given.results.mkdir(parents=True, exist_ok=True)
    with (given.results / "soak.csv").open("w", newline="") as progress:
        samples, wrong = _soak(given.verdicts, 60 * given.minutes, progress)
    curves = [name for name in samples[0] if name not in ("seconds", "verdicts")]
    x = [sample["verdicts"] for sample in samples]
    path = given.results / "soak.svg"
    draw(path, "verdicts", x, {name: [s[name] for s in samples] for name in curves})
    grown = growth(samples, given.growth_mib)
    found = {"verdicts": x[-1], "seconds": samples[-1]["seconds"], "wrong": wrong, "grown": grown}
    print(found | {"curve": str(path)})
    figures.report(given.results, "soak", found, facts)
    if wrong or grown:
        raise SystemExit(1)


def growth(samples: Sequence[Sample], allowed_mib: float = 8.0) -> dict[str, list[float]]:
    """What is not flat, by the rule above: its medians in the second and in the last quarter."""
    end = samples[-1]["verdicts"]
    second = [s for s in samples if end / 4 <= s["verdicts"] < end / 2]
    last = [s for s in samples if s["verdicts"] >= 3 * end / 4]
    found = {}
    for name in samples[0]:
        if name in ("seconds", "verdicts"):
            continue
        before, after = (statistics.median(s[name] for s in part) for part in (second, last))
        allowed = max(_GROWTH * before, allowed_mib) if name.endswith("_mib") else _GROWTH_FDS
        if after - before > (0 if name == "workers" else allowed):
            found[name] = [before, after]
    return found


def _soak(verdicts: int, seconds: float, progress: TextIO) -> tuple[list[Sample], int]:
    samples: list[Sample] = []
    wrong = done = number = 0
    with TemporaryDirectory(prefix="verisql-bench-") as home:
        load = HonestLoad(Path(home) / "databases")
        settings: dict[str, Any] = {"engine": "off", "workers": _WORKERS, "query_timeout_s": 0.3}
        with service(home=Path(home), **settings) as running:
            start = time.monotonic()
            while done < verdicts and time.monotonic() - start < seconds:
                requests = [_request(load, number + i) for i in range(_MESSAGE)]
                answers = verify_all(running.url, [r.body for r in requests], messages=2)
                wrong += sum(w.total() for w in map(wrong_verdicts, requests, answers))
                number += _MESSAGE
                done += sum(len(request.expected) for request in requests)
                samples.append(_sample(running, time.monotonic() - start, done))
                _note(progress, samples)
    return samples, wrong


def _request(load: HonestLoad, number: int) -> Request:
    request = load.request(number)
    if number % _ATTACK_EVERY:
        return request
    predictions = [*request.body["predictions"], attack(number // _ATTACK_EVERY)]
    return Request(request.body | {"predictions": predictions}, [*request.expected, 0.0])


def _sample(running: Running, seconds: float, verdicts: int) -> Sample:
    sample = {
        "seconds": round(seconds, 2),
        "verdicts": verdicts,
        "service_mib": running.process.memory_info().rss / _MIB,
        "service_descriptors": running.process.num_fds(),
    }
    workers = running.workers()
    mib = descriptors = 0.0
    for worker in workers:
        with suppress(psutil.Error):  # killed just now
            mib += worker.memory_info().rss / _MIB
            descriptors += worker.num_fds()
    return sample | {
        "workers_mib": mib,
        "workers_descriptors": descriptors,
        "workers": len(workers),
    }


def _note(progress: TextIO, samples: Sequence[Sample]) -> None:
    writer = csv.DictWriter(progress, list(samples[0]))
    if len(samples) == 1:
        writer.writeheader()
    writer.writerow(samples[-1])
    progress.flush()


if __name__ == "__main__":
    main()
