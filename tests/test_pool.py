"""Slots and workers: long statements step aside, workers come back, nothing is left behind."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from service.errors import Unavailable
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.sandbox.pool import SPARE
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.policy import Policy
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier

COUNT = "WITH RECURSIVE c(x) AS (SELECT {seed} UNION ALL SELECT x + 1 FROM c {end}) \
SELECT max(x) FROM c"
GOLD = "SELECT count(*) FROM customer"
LIMITS = Limits(query_timeout_s=60, gold_timeout_s=60)
ASIDE = 8

Use = Callable[[Executor, Verifier], Awaitable[Any]]


def _run(registry: DatabaseRegistry, use: Use, workers: int = 1, limits: Limits = LIMITS) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(60), Executor(workers=workers, limits=limits) as executor:
            return await use(executor, Verifier(registry, executor, Policy(cache_bytes=0)))

    return asyncio.run(main())


def _task(*predictions: str, gold: str = GOLD) -> VerifyTask:
    return VerifyTask("shop", (gold,), predictions)


def _endless(seed: int) -> str:
    return COUNT.format(seed=seed, end="")


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@asynccontextmanager
async def _running(verifier: Verifier, many: int) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """So many groups with an endless prediction each; given up in the end."""
    tasks = [asyncio.create_task(verifier.verify(_task(_endless(n)))) for n in range(many)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_an_endless_statement_lets_the_others_through(registry: DatabaseRegistry) -> None:
    async def use(executor: Executor, verifier: Verifier) -> tuple[list[str], str, int]:
        late = asyncio.create_task(verifier.verify(_task(_endless(0), "SELECT 4")))
        await _until(lambda: executor.busy == 1)
        honest = [await verifier.verify(_task(GOLD, f"SELECT {n}")) for n in range(20)]
        assert not late.done()
        assert executor.aside == 1
        statuses = [verdict.status for report in honest for verdict in report.verdicts]
        return statuses, (await late).verdicts[0].status, executor.aside

    limits = Limits(query_timeout_s=2.0)
    statuses, late, aside = _run(registry, use, limits=limits)
    assert statuses == ["match", "mismatch"] * 4 + ["match", "match"] + ["match", "mismatch"] * 15
    assert (late, aside) == ("timeout", 0)


def test_no_more_than_eight_a_slot_run_aside_and_the_rest_waits(registry: DatabaseRegistry) -> None:
    async def use(executor: Executor, verifier: Verifier) -> None:
        async with _running(verifier, ASIDE + 3):
            await _until(lambda: executor.aside == ASIDE and executor.busy == ASIDE + 1)
            honest = asyncio.create_task(verifier.verify(_task(GOLD)))
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                await asyncio.sleep(0.02)
                assert executor.aside == ASIDE
                assert executor.busy <= ASIDE + 1
            assert executor.queued == 3
            assert not honest.done()
        # They have been given up: whoever waited gets the slot.
        assert (await honest).verdicts[0].status == "match"
        await _until(lambda: executor.busy == 0)
        await _until(lambda: len(executor.pids()) == 1 + SPARE)
        assert (executor.aside, executor.queued) == (0, 0)

    _run(registry, use)


def test_killed_workers_are_made_up_for(registry: DatabaseRegistry) -> None:
    async def use(executor: Executor, verifier: Verifier) -> None:
        assert len(executor.pids()) == 2 + SPARE
        for _ in range(3):
            async with _running(verifier, 3):
                await _until(lambda: executor.busy >= 2)
            await _until(lambda: executor.busy == 0)
            assert (await verifier.verify(_task(GOLD))).verdicts[0].status == "match"
        await _until(lambda: len(executor.pids()) == 2 + SPARE)
        await asyncio.sleep(0.3)
        assert len(executor.pids()) == 2 + SPARE
        assert executor.replaced >= 6

    _run(registry, use, workers=2)


def test_a_long_statement_runs_last_and_its_worker_no_longer_than_that(
    registry: DatabaseRegistry,
) -> None:
    def priorities(executor: Executor) -> list[int]:
        return [psutil.Process(pid).nice() for pid in executor.pids()]

    async def use(executor: Executor, verifier: Verifier) -> VerifyReport:
        usual = psutil.Process().nice()
        assert set(priorities(executor)) == {usual}
        long = COUNT.format(seed=1, end="WHERE x < 6000000")
        late = asyncio.create_task(verifier.verify(_task(long)))
        await _until(lambda: late.done() or priorities(executor)[0] == 19)
        assert not late.done()
        assert priorities(executor)[1:] == [usual] * SPARE
        report = await late
        await _until(lambda: len(executor.pids()) == 1 + SPARE)
        assert set(priorities(executor)) == {usual}
        return report

    assert _run(registry, use).verdicts[0].status == "mismatch"


def test_a_kept_gold_is_found_again_whichever_worker_keeps_it(registry: DatabaseRegistry) -> None:
    golds = [f"SELECT count(*) + {n} FROM customer" for n in range(12)]

    async def use(_executor: Executor, verifier: Verifier) -> list[bool]:
        tasks = [_task("SELECT 1", gold=gold) for gold in golds]
        pairs = [tasks[n : n + 2] for n in range(0, len(tasks), 2)]  # no more than have a slot
        first = [one for pair in pairs for one in await asyncio.gather(*map(verifier.verify, pair))]
        again = [await verifier.verify(task) for task in reversed(tasks)]
        return [report.gold.cached for report in (*first, *again)]

    assert _run(registry, use, workers=2) == [False] * 12 + [True] * 12


def test_closing_ends_what_runs_aside_and_leaves_no_process(registry: DatabaseRegistry) -> None:
    async def main() -> tuple[list[int], list[Any]]:
        executor = Executor(workers=1, limits=LIMITS)
        await executor.start()
        verifier = Verifier(registry, executor)
        async with _running(verifier, 4) as tasks:
            await _until(lambda: executor.aside == 3)
            pids = executor.pids()
            await executor.close()
            async with asyncio.timeout(10):
                return pids, await asyncio.gather(*tasks, return_exceptions=True)

    before = set(psutil.Process().children(recursive=True))  # other tests' services
    pids, results = asyncio.run(main())
    assert len(pids) >= 3
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert set(psutil.Process().children(recursive=True)) <= before
    for result in results:
        told = result.verdicts[0].status if isinstance(result, VerifyReport) else type(result)
        assert told in ("infra_error", Unavailable)


def test_a_dead_spare_worker_never_takes_the_place_of_one_that_was_killed(
    registry: DatabaseRegistry,
) -> None:
    async def use(executor: Executor, verifier: Verifier) -> VerifyReport:
        slow = COUNT.format(seed=1, end="WHERE x < 2000000")
        judging = asyncio.create_task(verifier.verify(_task(GOLD, slow)))
        await _until(lambda: executor.busy == 1)
        busy, *spare = executor.pids()
        for pid in spare:
            os.kill(pid, signal.SIGKILL)
        await _until(lambda: executor.pids() == [busy])
        os.kill(busy, signal.SIGKILL)
        report = await judging
        await _until(lambda: len(executor.pids()) == 1 + SPARE)
        return report

    report = _run(registry, use)
    assert [verdict.status for verdict in report.verdicts] == ["match", "mismatch"]


@pytest.mark.parametrize("workers", [1, 2])
def test_many_leases_and_lost_workers_leave_no_descriptor(
    registry: DatabaseRegistry, workers: int
) -> None:
    async def use(executor: Executor, verifier: Verifier) -> tuple[int, int]:
        await verifier.verify(_task(GOLD))
        before = psutil.Process().num_fds()
        for n in range(200):
            if n % 50 == 0:
                os.kill(executor.pids()[0], signal.SIGKILL)
            await verifier.verify(_task(f"SELECT {n}"))
        await _until(lambda: len(executor.pids()) == workers + SPARE)
        await _until(lambda: psutil.Process().num_fds() <= before)
        return before, psutil.Process().num_fds()

    before, after = _run(registry, use, workers=workers)
    assert after <= before
