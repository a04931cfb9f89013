"""What only a real vLLM can show: cancelled streams, seeds, the prefix cache, a hung server."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator

import httpx
import pytest

from service.engine.base import Completions, Sampling
from service.engine.client import patience
from service.engine.server import LocalEngine
from service.engine.tokens import upper_bound
from service.engine.vigil import Vigilance
from service.engine.vllm import VllmOptions
from service.errors import EngineUnavailable
from service.models.registry import ServedModel
from tests.fixtures_engine import eventually_gone, family, same_text_or_skip, until

pytestmark = pytest.mark.engine
RealEngine = tuple[asyncio.Runner, LocalEngine]
SEEDED = Sampling(0.7, 16, seed=1, n=4, logprobs=True)
STORIES = Sampling(0.7, 1500, seed=1, n=3)
"""Long enough to be met at work."""


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def long(tag: str, words: int) -> list[dict[str, str]]:
    return ask(f"{tag}: tell a story. " + "table column join where " * words)


async def counted(engine: LocalEngine, name: str) -> float:
    """The sum of one of vLLM's own metrics."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(f"{engine.url}/metrics")).text
    found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
    assert found, name
    return sum(map(float, found))


async def at_work(call: asyncio.Task[Completions], began: asyncio.Event) -> None:
    """Until the call's first piece; fails with what became of it, if that is no piece."""
    first = asyncio.create_task(began.wait())
    await asyncio.wait({call, first}, timeout=120, return_when=asyncio.FIRST_COMPLETED)
    first.cancel()
    assert began.is_set(), call
    assert not call.done(), call


def texts(answers: Completions) -> list[str]:
    return [choice.text for choice in answers.choices]


def test_the_same_seed_gives_the_same_answers_whatever_else_is_under_way(
    real_engine: RealEngine,
) -> None:
    runner, engine = real_engine

    async def run() -> None:
        mine = long("mine", 30)
        first = await engine.complete(mine, SEEDED)
        crowd = [
            engine.complete(long(f"{sampling.seed} {i}", 100 + 120 * i), sampling)
            for i in range(3)
            for sampling in (
                Sampling(0.7, 16, seed=5),
                Sampling(0.7, 16, n=2),
                Sampling(0.0, 16),
            )
        ]
        again, *others = await asyncio.gather(engine.complete(mine, SEEDED), *crowd)
        assert len(set(texts(first))) > 1
        assert all(choice.finish_reason for answers in others for choice in answers.choices)
        assert engine.state.status == "ready"
        assert engine.pid == pid
        same_text_or_skip(texts(again), texts(first))

    pid = engine.pid
    runner.run(run())


def test_no_seed_and_no_temperature_ends_the_engine(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    odd = [
        *(Sampling(0.7, 2, seed=seed, n=3) for seed in (0, -1, 2**32, 2**63 - 1, -(2**63))),
        *(Sampling(temperature, 2, seed=1) for temperature in (1e-9, 1e-3, 2.0)),
    ]

    async def run() -> list[Completions]:
        return await asyncio.gather(*(engine.complete(ask("Hi"), one) for one in odd))

    pid = engine.pid
    assert len(runner.run(run())) == len(odd)
    assert runner.run(engine.complete(ask("Hi"), Sampling(max_tokens=2))).completion_tokens
    assert engine.pid == pid


def test_log_probabilities_are_those_of_the_tokens(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    answers = runner.run(engine.complete(ask("Say SELECT 1."), SEEDED))
    assert all(-20 < (choice.mean_logprob or 0) < 0 for choice in answers.choices)
    assert sum(choice.completion_tokens for choice in answers.choices) == answers.completion_tokens


def test_a_stream_is_the_whole_answer_in_pieces(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    pieces: list[str] = []
    greedy = Sampling(0.0, 24)
    message = ask("Count to nine.")
    whole = runner.run(engine.complete(message, greedy))
    streamed = runner.run(
        engine.complete(message, greedy, on_text=lambda index, text: pieces.append(text))
    )
    assert "".join(pieces) == streamed.choices[0].text
    assert streamed.completion_tokens == whole.completion_tokens == 24
    assert len(pieces) > 5
    same_text_or_skip(streamed.choices[0].text, whole.choices[0].text)


def test_cancelling_stops_the_work_in_vllm(real_engine: RealEngine) -> None:
    runner, engine = real_engine

    async def run(streamed: bool) -> None:
        began = asyncio.Event()
        made = await counted(engine, "vllm:generation_tokens_total")
        call = asyncio.create_task(
            engine.complete(
                ask("Count to a million."),
                STORIES,
                on_text=(lambda index, text: began.set()) if streamed else None,
            )
        )
        if streamed:
            await at_work(call, began)
        async with asyncio.timeout(60):
            while not await counted(engine, "vllm:num_requests_running"):
                assert not call.done(), call
                await asyncio.sleep(0.05)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            while await counted(engine, "vllm:num_requests_running"):
                await asyncio.sleep(0.05)
        assert await counted(engine, "vllm:generation_tokens_total") - made < 3 * 1500

    for streamed in (True, False):
        runner.run(run(streamed))


def test_a_prompt_that_was_read_before_is_found_again(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    prompt = long("cached", 100)
    runner.run(engine.complete(prompt, Sampling(max_tokens=1)))
    again = runner.run(engine.complete(prompt, Sampling(max_tokens=1)))
    assert (again.cached_tokens or 0) > 0.9 * again.prompt_tokens


def test_tokens_are_counted_as_the_server_counts_them(real_engine: RealEngine) -> None:
    runner, engine = real_engine
    short, text = "a", "CREATE TABLE customer (id INTEGER, name TEXT); -- naïve 日本"
    used = [
        runner.run(engine.complete(ask(given), Sampling(max_tokens=1))).prompt_tokens
        for given in (short, text)
    ]
    assert used[1] - used[0] == engine.count_tokens(text) - engine.count_tokens(short)
    assert upper_bound(text) >= engine.count_tokens(text)


@pytest.fixture
def watched(
    small_model: ServedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealEngine]:
    """A vLLM of its own that is doubted soon."""
    home = tmp_path_factory.mktemp("watched")
    engine = LocalEngine(
        small_model,
        VllmOptions("cpu", 2048, 2**28, home / "cache"),
        log_path=home / "engine.log",
        start_timeout_s=600,
        waits=patience(120),
        say=lambda line: None,
        vigilance=Vigilance(look_s=0.2, silence_s=5, idle_s=10, probe_s=5),
    )
    with asyncio.Runner() as runner:
        runner.run(engine.start())
        try:
            runner.run(until(engine, "ready"))
            yield runner, engine
        finally:
            runner.run(engine.close())


def test_a_hung_engine_is_replaced_and_answers_again(watched: RealEngine) -> None:
    runner, engine = watched
    first = [process.pid for process in family(engine)]

    async def run() -> None:
        assert engine.pid
        began = asyncio.Event()
        call = engine.complete(
            ask("Count to a million."), STORIES, on_text=lambda index, text: began.set()
        )
        waits = asyncio.create_task(call)
        await at_work(waits, began)
        os.killpg(engine.pid, signal.SIGSTOP)
        await until(engine, "starting", 120)
        with pytest.raises(EngineUnavailable) as told:
            await waits
        assert told.value.retry_after_s
        with pytest.raises(EngineUnavailable, match="stopped answering") as refused:
            await engine.complete(ask("Hello"), Sampling(max_tokens=2))
        assert refused.value.retry_after_s
        await until(engine, "ready")
        assert (await engine.complete(ask("Hello"), Sampling(max_tokens=2))).choices[0].text

    runner.run(run())
    assert eventually_gone(first)
