"""Honest latency while 10 % of all predictions run into their deadline or end their worker.

    python -m bench.attack_load --rates 5 20 --timeouts 0.3 1 --seconds 20 --rounds 3 --results DIR

Honest requests (groups of 8 distinct predictions on the demo database, none seen before) arrive at
a fixed rate, whether or not earlier ones were answered, and latency counts from the moment at which
a request was due. Bad predictions come as requests of their own, one each, at a ninth of the rate
of honest predictions: endless recursion, functions that cannot be interrupted, cross joins, memory
hogs. Rounds alternate: the honest load alone, then the same with the bad ones beside it.
Goal: p99 at most 3 times that of the honest load alone, and every honest verdict right.
"""

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from bench import figures
from bench.attacks import attack
from bench.honest_load import DB_ID, GROUP_SIZE, HonestLoad, wrong_verdicts
from bench.service_process import service

_SHARE = 1 / 9  # one bad prediction for nine honest ones
_DRAIN_S = 30.0
_WARM_UP_PER_S = 50.0


@dataclass
class Seen:
    """What a round saw: seconds of each honest request, wrong and refused ones, bad ones by end."""

    latencies_s: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    bad: Counter[str] = field(default_factory=Counter)


def main(arguments: Sequence[str] | None = None) -> None:
    """Sweep rates and deadlines; prints and writes one row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[5, 20], help="requests/s")
    parser.add_argument("--timeouts", type=float, nargs="+", default=[0.3, 1.0], help="seconds")
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    facts = figures.machine()
    rows = [_measure(given, rate, t) for rate in given.rates for t in given.timeouts]
    figures.report(given.results, "attack_load", {"rows": rows}, facts)


def _measure(given: argparse.Namespace, rate: float, timeout_s: float) -> dict[str, Any]:
    alone: list[Seen] = []
    attacked: list[Seen] = []
    for number in range(given.rounds):
        for seen, share in ((alone, 0.0), (attacked, _SHARE)):
            with TemporaryDirectory(prefix="verisql-bench-") as home:
                load = HonestLoad(Path(home) / "databases")
                settings = {"engine": "off", "workers": given.workers, "query_timeout_s": timeout_s}
                with service(home=Path(home), **settings) as running:
                    warm = range(-50, 0)  # imports, connections and golds, not the predictions
                    start = 1_000_000 * number
                    asyncio.run(_round(running.url, load, warm, _WARM_UP_PER_S, 0.0))
                    sent = range(start, start + int(given.seconds * rate))
                    seen.append(asyncio.run(_round(running.url, load, sent, rate, share)))
    return _row(given, rate, timeout_s, alone, attacked)


async def _round(url: str, load: HonestLoad, sent: range, rate: float, share: float) -> Seen:
    seen = Seen()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as http:
        start = time.perf_counter() + 0.1
        end = start + len(sent) / rate
        bad = asyncio.create_task(_bad_ones(http, start, end, rate * GROUP_SIZE * share, seen))
        await _spawn_on_time(start, rate, len(sent), lambda i, due: _honest(
            http, load, sent[i], due, seen
        ))  # fmt: skip
        await bad
    return seen


async def _bad_ones(
    http: httpx.AsyncClient, start: float, end: float, rate: float, seen: Seen
) -> None:
    count = int((end - start) * rate)
    if count:
        await _spawn_on_time(start, rate, count, lambda i, due: _bad(http, i, seen))


async def _spawn_on_time(
    start: float,
    rate: float,
    count: int,
    work: Callable[[int, float], Coroutine[Any, Any, None]],
) -> None:
    """Start `work(i, due)` when due, however late the others are; wait for all at the end."""
    tasks = []
    async for number, due in _ticks(start, rate, count):
        tasks.append(asyncio.create_task(work(number, due)))
    _, late = await asyncio.wait(tasks, timeout=_DRAIN_S)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


async def _ticks(start: float, rate: float, count: int) -> AsyncIterator[tuple[int, float]]:
    for number in range(count):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        yield number, due


async def _honest(
    http: httpx.AsyncClient, load: HonestLoad, number: int, due: float, seen: Seen
) -> None:
    request = load.request(number)
    try:
        answer = await http.post("/verify", content=orjson.dumps(request.body), headers=_JSON)
    except asyncio.CancelledError:
        seen.latencies_s.append(time.perf_counter() - due)  # given up: at least this long
        seen.refused += 1
        raise
    seen.latencies_s.append(time.perf_counter() - due)
    if answer.status_code != httpx.codes.OK:
        seen.refused += 1
    else:
        seen.wrong += wrong_verdicts(request, orjson.loads(answer.content))


async def _bad(http: httpx.AsyncClient, number: int, seen: Seen) -> None:
    body = {
        "db_id": DB_ID,
        "gold_sql": "SELECT count(*) FROM customer",
        "predictions": [attack(number)],
    }
    try:
        answer = await http.post("/verify", content=orjson.dumps(body), headers=_JSON)
    except asyncio.CancelledError:
        seen.bad["given up"] += 1
        raise
    ok = answer.status_code == httpx.codes.OK
    seen.bad[answer.json()["verdicts"][0]["status"] if ok else str(answer.status_code)] += 1


_JSON = {"content-type": "application/json"}


def _row(
    given: argparse.Namespace, rate: float, timeout_s: float, alone: list[Seen], bad: list[Seen]
) -> dict[str, Any]:
    def ms(seen: list[Seen], share: float) -> list[float]:
        return [1000 * figures.percentile(round_.latencies_s, share) for round_ in seen]

    def ratio(share: float) -> dict[str, float]:
        pairs = zip(ms(alone, share), ms(bad, share), strict=True)
        return figures.spread([b / a for a, b in pairs])

    row = {
        "honest_requests_per_s": rate,
        "honest_predictions_per_s": rate * GROUP_SIZE,
        "bad_predictions_per_s": round(rate * GROUP_SIZE * _SHARE, 3),
        "timeout_s": timeout_s,
        "workers": given.workers,
        "cpu_s_per_s_that_the_bad_ones_want": round(rate * GROUP_SIZE * _SHARE * timeout_s, 3),
        "alone_p50_ms": figures.spread(ms(alone, 0.5)),
        "alone_p99_ms": figures.spread(ms(alone, 0.99)),
        "attacked_p50_ms": figures.spread(ms(bad, 0.5)),
        "attacked_p99_ms": figures.spread(ms(bad, 0.99)),
        "ratio_p50": ratio(0.5),
        "ratio_p99": ratio(0.99),
        "honest_wrong": dict(sum((seen.wrong for seen in alone + bad), Counter())),
        "honest_refused": sum(seen.refused for seen in alone + bad),
        "bad_ends": dict(sum((seen.bad for seen in bad), Counter())),
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
