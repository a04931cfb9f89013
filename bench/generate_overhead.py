"""What the service costs over the bare model server: throughput, latency, prefix-cache hits.

    python -m bench.generate_overhead --questions 64 --rounds 3 --model qwen2.5-coder-0.5b-instruct

The service starts its own vLLM, or uses the one at --engine-url. Both sides answer the same prompts
with the same sampling (greedy, one candidate): `bare` sends the messages that /generate reports
with `debug` straight to vLLM's /v1/chat/completions, `service` sends the questions to /generate
with its default settings. 16 callers at a time, rounds alternate (A B A B), after one round that
warms both. Latency is compared question by question: the median of the differences. Before all that
the questions of one database go in once, and vLLM's own counters say how many of the prompt tokens
after the first question came from its prefix cache. Goals: throughput at least 97 % of bare, at
most 5 ms more at the median, hits at least 90 %.
"""

import argparse
import asyncio
import re
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from bench import figures
from bench.service_process import Running, service
from service.demo import questions_path
from service.text2sql.questions import Question, read_questions

_CALLERS = 16
_ENGINE = re.compile(r"engine ready: \S+ answers on (http\S+)")
_COUNTER = re.compile(r"^vllm:prefix_cache_(queries|hits)(?:_total)?\{[^}]*\} ([0-9.e+]+)$", re.M)

Ask = Callable[[int], Awaitable[Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, default=questions_path(), help="questions")
    parser.add_argument("--data-dir", default="", help="their databases; default: the demo's")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b-instruct")
    parser.add_argument("--models-dir", type=Path, default=Path("~/.verisql/models").expanduser())
    parser.add_argument("--engine-url", help="a model server that is already there")
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args(arguments)
    facts = figures.machine()
    questions = read_questions(given.file)[: given.questions]
    settings: dict[str, Any] = {"model": given.model, "models_dir": given.models_dir}
    settings |= {"engine_url": given.engine_url} if given.engine_url else {"engine": "local"}
    with service(data_dir=given.data_dir, timeout_s=1200, **settings) as running:
        found = asyncio.run(_measure(running, questions, given))
    print(found)
    figures.report(given.results, "generate_overhead", found, facts)


async def _measure(
    running: Running, questions: list[Question], given: argparse.Namespace
) -> dict[str, Any]:
    engine = await _engine_url(running)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=_CALLERS)
    async with httpx.AsyncClient(timeout=None, limits=limits) as http:
        hits, prompts = await _first_round(http, running.url, engine, questions, given)

        async def through_the_service(n: int) -> None:
            (
                await http.post(f"{running.url}/generate", json=_body(questions[n], given))
            ).raise_for_status()

        async def bare(n: int) -> None:
            body = {"model": given.model, "messages": prompts[n], "temperature": 0.0}
            body["max_tokens"] = given.max_tokens
            answer = await http.post(f"{engine}/v1/chat/completions", json=body)
            answer.raise_for_status()

        await _round(bare, len(questions))
        sides: dict[str, list[list[float]]] = {"bare": [], "service": []}
        seconds: dict[str, list[float]] = {"bare": [], "service": []}
        for _ in range(given.rounds):
            for name, ask in (("bare", bare), ("service", through_the_service)):
                taken, latencies = await _round(ask, len(questions))
                seconds[name].append(taken)
                sides[name].append(latencies)
    return _found(len(questions), seconds, sides, hits)


async def _engine_url(running: Running) -> str:
    """What the service says of its engine; that line may come a moment after it is ready."""
    async with asyncio.timeout(30):
        while True:
            for line in list(running.lines):
                if found := _ENGINE.search(line):
                    return found[1].removesuffix("/v1")
            await asyncio.sleep(0.1)


def _body(question: Question, given: argparse.Namespace, **more: Any) -> dict[str, Any]:
    return {
        "question": question.question,
        "db_id": question.db_id,
        "evidence": question.evidence,
        "max_tokens": given.max_tokens,
        "clarify": False,  # or it would answer some without the model
    } | more


async def _first_round(
    http: httpx.AsyncClient,
    url: str,
    engine: str,
    questions: list[Question],
    given: argparse.Namespace,
) -> tuple[float, list[list[dict[str, str]]]]:
    """Share of prompt tokens from the prefix cache after the first question; every prompt."""
    prompts, before = [], {"queries": 0.0, "hits": 0.0}
    for number, question in enumerate(questions):
        answer = await http.post(f"{url}/generate", json=_body(question, given, debug=True))
        prompts.append(answer.raise_for_status().json()["debug"]["messages"])
        if number == 0:
            before = await _counters(http, engine)
    after = await _counters(http, engine)
    asked = after["queries"] - before["queries"]
    return (after["hits"] - before["hits"]) / asked if asked else 0.0, prompts


async def _counters(http: httpx.AsyncClient, engine: str) -> dict[str, float]:
    text = (await http.get(f"{engine}/metrics")).text
    return {name: float(value) for name, value in _COUNTER.findall(text)}


async def _round(ask: Ask, count: int) -> tuple[float, list[float]]:
    """Seconds for all, and of each, with 16 callers at a time."""
    latencies, waiting = [0.0] * count, iter(range(count))

    async def caller() -> None:
        for number in waiting:
            start = time.perf_counter()
            await ask(number)
            latencies[number] = time.perf_counter() - start

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(_CALLERS)))
    return time.perf_counter() - start, latencies


def _found(
    count: int,
    seconds: dict[str, list[float]],
    sides: dict[str, list[list[float]]],
    hits: float,
) -> dict[str, Any]:
    rounds = list(zip(seconds["bare"], seconds["service"], strict=True))
    medians = {
        name: [1000 * statistics.median(latencies) for latencies in rows]
        for name, rows in sides.items()
    }
    added = [
        1000 * statistics.median(s - b for b, s in zip(bare, served, strict=True))
        for bare, served in zip(sides["bare"], sides["service"], strict=True)
    ]
    return {
        "questions": count,
        "callers": _CALLERS,
        "bare_per_s": figures.spread([count / s for s in seconds["bare"]]),
        "service_per_s": figures.spread([count / s for s in seconds["service"]]),
        "throughput_ratio": figures.spread([bare / served for bare, served in rounds]),
        "bare_median_ms": figures.spread(medians["bare"]),
        "service_median_ms": figures.spread(medians["service"]),
        "added_median_ms": figures.spread(added),
        "prefix_cache_hits": round(hits, 4),
    }


if __name__ == "__main__":
    main()
