"""Workers that are killed, crashed or stopped, at any moment: no request is lost or misjudged."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from service.sandbox.limits import Limits
from service.text2sql.types import VerifyReport, VerifyTask
from tests.arena import GOLD, RIGHT, WRONG, Arena
from tests.attack_sql import ROWS

SLOW = f"{ROWS} LIMIT 700000) SELECT count(*) FROM c"  # a good tenth of a second
SIGNALS = [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGSTOP]
LIMITS = Limits(query_timeout_s=2, gold_timeout_s=2, kill_grace_s=0.3, memory_mb=512)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("signals"), limits=LIMITS) as ready:
        yield ready


@asynccontextmanager
async def _judging(arena: Arena, *predictions: str) -> AsyncIterator["asyncio.Task[VerifyReport]"]:
    """A group under way, its worker busy."""
    task = asyncio.create_task(arena.verifier.verify(VerifyTask("shop", (GOLD,), predictions)))
    while not arena.executor.busy:
        await asyncio.sleep(0)
    yield task


def _hit(arena: Arena, number: signal.Signals) -> None:
    for pid in arena.executor.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_worker_hit_while_idle_costs_nothing(arena: Arena, number: signal.Signals) -> None:
    with arena.watch():
        _hit(arena, number)
        arena.check_honest()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_worker_hit_while_it_receives_costs_nothing(arena: Arena, number: signal.Signals) -> None:
    long = [f"{RIGHT} -- {n} {'x' * 200_000}" for n in range(12)]

    async def use() -> VerifyReport:
        _hit(arena, signal.SIGSTOP)  # so that the pipe fills up
        async with _judging(arena, *long) as task:
            await asyncio.sleep(0.05)
            _hit(arena, number)
            if number != signal.SIGSTOP:
                _hit(arena, signal.SIGCONT)
            return await task

    with arena.watch():
        verdicts = arena.run(use()).verdicts
    assert {verdict.status for verdict in verdicts} == {"match"}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_worker_hit_while_it_runs_costs_nothing(arena: Arena, number: signal.Signals) -> None:
    async def use() -> VerifyReport:
        async with _judging(arena, RIGHT, SLOW, WRONG) as task:
            await asyncio.sleep(0.1)
            _hit(arena, number)
            return await task

    with arena.watch():
        verdicts = arena.run(use()).verdicts
    assert [verdict.status for verdict in verdicts] == ["match", "mismatch", "mismatch"]


@pytest.mark.parametrize("number", SIGNALS[:3])
def test_a_worker_hit_while_it_answers_costs_nothing(arena: Arena, number: signal.Signals) -> None:
    many = [f"{RIGHT} AND {n} = {n}" for n in range(300)]

    async def use(pause_s: float) -> VerifyReport:
        async with _judging(arena, *many) as task:
            await asyncio.sleep(pause_s)
            _hit(arena, number)
            return await task

    with arena.watch():
        for step in range(5):
            verdicts = arena.run(use(step * 0.006)).verdicts
            assert [verdict.status for verdict in verdicts] == ["match"] * 300
        arena.check_honest()  # which replaces a worker that was hit after its last answer


@pytest.mark.parametrize(
    ("number", "status", "reward"),
    [(signal.SIGBUS, "infra_error", None), (signal.SIGABRT, "exec_error", 0.0)],
)
def test_a_prediction_is_blamed_for_a_crash_of_the_engine_but_not_for_a_file_that_shrank(
    arena: Arena, number: signal.Signals, status: str, reward: float | None
) -> None:
    async def hit() -> None:
        while True:
            await asyncio.sleep(0.15)
            if any(lease.place for lease in arena.executor._pool._leases):  # no gold is hit
                _hit(arena, number)

    async def use() -> VerifyReport:
        async with _judging(arena, f"{ROWS}) SELECT count(*) FROM c") as task:
            hitter = asyncio.create_task(hit())
            report = await task
            hitter.cancel()
            return report

    with arena.watch():
        verdict = arena.run(use()).verdicts[0]
        arena.check_honest()
    assert (verdict.status, verdict.reward) == (status, reward)


def test_a_worker_that_is_stopped_again_and_again_is_not_held_against_the_prediction(
    arena: Arena,
) -> None:
    async def stop() -> None:
        while True:
            await asyncio.sleep(0.02)
            _hit(arena, signal.SIGSTOP)

    async def use() -> VerifyReport:
        stopper = asyncio.create_task(stop())
        task = VerifyTask("shop", (GOLD,), (SLOW, RIGHT), timeout_s=0.3)
        report = await arena.verifier.verify(task)
        stopper.cancel()
        return report

    with arena.watch():
        verdicts = arena.run(use()).verdicts
        arena.check_honest()
    assert {v.status for v in verdicts} <= {"infra_error", "match", "mismatch"}
    assert all(v.masked and v.retryable for v in verdicts if v.status == "infra_error")
