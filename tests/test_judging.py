"""Groups whose worker is lost in the middle: the right item is blamed, the others are judged."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from service.errors import DatabaseUnusable
from service.sandbox.executor import Executor
from service.sandbox.limits import Limits
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import VerifyReport, VerifyTask
from service.text2sql.verifier import Verifier

SLOW = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000000000) "
    "SELECT count(*) FROM c"
)
UNSTOPPABLE = "SELECT instr(printf('%.*c', 6000000, 'a'), printf('%.*c', 3000000, 'a') || 'b')"
LIMITS = Limits(query_timeout_s=60, gold_timeout_s=60)
GOLD = "SELECT count(*) FROM customer"

Use = Callable[[Executor, Verifier], Awaitable[Any]]


def _run(registry: DatabaseRegistry, use: Use, limits: Limits = LIMITS, **settings: Any) -> Any:
    async def main() -> Any:
        async with Executor(workers=1, limits=limits, **settings) as executor:
            return await use(executor, Verifier(registry, executor))

    return asyncio.run(main())


def _task(gold: str | tuple[str, ...], *predictions: str) -> VerifyTask:
    return VerifyTask("shop", (gold,) if isinstance(gold, str) else gold, predictions)


async def _kill_repeatedly(executor: Executor, number: signal.Signals) -> None:
    """Send the signal to each worker that has been busy for a while."""
    while True:
        await asyncio.sleep(0.3)
        for pid in executor.pids() if executor.busy else []:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.mark.parametrize(
    ("number", "status", "reward"),
    [(signal.SIGSEGV, "exec_error", 0.0), (signal.SIGKILL, "infra_error", None)],
)
def test_a_prediction_whose_worker_dies_twice_ends_and_the_others_are_judged(
    registry: DatabaseRegistry, number: signal.Signals, status: str, reward: float | None
) -> None:
    async def use(executor: Executor, verifier: Verifier) -> VerifyReport:
        killer = asyncio.create_task(_kill_repeatedly(executor, number))
        async with asyncio.timeout(30):
            report = await verifier.verify(_task(GOLD, GOLD, SLOW, "SELECT 4"))
        killer.cancel()
        return report

    verdicts = _run(registry, use).verdicts
    assert [v.status for v in verdicts] == ["match", status, "match"]
    assert (verdicts[1].reward, verdicts[1].retryable) == (reward, status == "infra_error")
    assert verdicts[1].elapsed_ms > 0


def test_a_gold_whose_worker_is_killed_twice_is_our_fault(registry: DatabaseRegistry) -> None:
    async def use(executor: Executor, verifier: Verifier) -> VerifyReport:
        killer = asyncio.create_task(_kill_repeatedly(executor, signal.SIGKILL))
        report = await verifier.verify(_task(SLOW, GOLD))
        killer.cancel()
        return report

    report = _run(registry, use)
    assert report.gold.status == "infra_error"
    assert (report.verdicts[0].masked, report.verdicts[0].retryable) == (True, True)


def test_workers_killed_while_idle_cost_nothing(registry: DatabaseRegistry) -> None:
    async def use(executor: Executor, verifier: Verifier) -> VerifyReport:
        for pid in executor.pids():
            os.kill(pid, signal.SIGKILL)
        return await verifier.verify(_task(GOLD, GOLD))

    assert _run(registry, use).verdicts[0].status == "match"


def test_a_group_keeps_its_place_when_its_worker_is_replaced(registry: DatabaseRegistry) -> None:
    limits = Limits(query_timeout_s=0.3, kill_grace_s=0.1)

    async def use(executor: Executor, verifier: Verifier) -> list[list[str]]:
        late = asyncio.create_task(verifier.verify(_task(GOLD, UNSTOPPABLE, GOLD)))
        while not executor.busy:
            await asyncio.sleep(0)
        waiting = asyncio.create_task(verifier.verify(_task(GOLD, GOLD)))
        reports = await asyncio.gather(late, waiting)
        return [[verdict.status for verdict in report.verdicts] for report in reports]

    found = _run(registry, use, limits, max_queued=1)
    assert found == [["timeout", "match"], ["match"]]


def test_the_time_for_a_group_is_bounded_and_the_rest_may_come_again(
    registry: DatabaseRegistry,
) -> None:
    # By the clock a statement has its limit and two seconds: the first one always ends in time, all
    # together need at least 4 s of the processor.
    limits = Limits(query_timeout_s=0.2, group_timeout_s=3, kill_grace_s=0.1)
    endless = [SLOW.replace("1000000000", str(10**12 + n)) for n in range(20)]

    async def use(_executor: Executor, verifier: Verifier) -> VerifyReport:
        async with asyncio.timeout(10):
            return await verifier.verify(_task(GOLD, GOLD, *endless))

    statuses = [verdict.status for verdict in _run(registry, use, limits).verdicts]
    assert statuses[:2] == ["match", "timeout"]
    judged = statuses.index("infra_error")
    assert set(statuses[1:judged]) == {"timeout"}
    assert set(statuses[judged:]) == {"infra_error"}


def test_golds_that_are_too_large_together_are_golds_at_fault(registry: DatabaseRegistry) -> None:
    limits = Limits(max_gold_bytes=1_000_000)
    many = SLOW.replace("count(*)", "x").replace("1000000000", "5000")
    golds = (GOLD, many, f"{many} ", "SELECT 4 AS four")

    async def use(_executor: Executor, verifier: Verifier) -> VerifyReport:
        return await verifier.verify(_task(golds, GOLD, many))

    assert [v.status for v in _run(registry, use, limits).verdicts] == ["match", "match"]
    report = _run(registry, use, Limits(max_gold_bytes=1_000))
    assert [v.status for v in report.verdicts] == ["match", "mismatch"]


def _damage(shop: Path, table: str) -> None:
    """Overwrite the page that holds a table."""
    with closing(sqlite3.connect(shop)) as connection:
        sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        [(page,)] = connection.execute(sql, (table,)).fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    content = bytearray(shop.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    shop.write_bytes(content)


def test_a_damaged_file_is_never_held_against_a_prediction(
    registry: DatabaseRegistry, shop: Path
) -> None:
    _damage(shop, "orders")

    async def use(_executor: Executor, verifier: Verifier) -> VerifyReport:
        return await verifier.verify(_task(GOLD, GOLD, "SELECT * FROM orders"))

    right, damaged = _run(registry, use).verdicts
    assert right.status == "match"
    assert (damaged.status, damaged.masked, damaged.retryable) == ("infra_error", True, False)


def test_a_gold_on_a_damaged_file_names_the_file(registry: DatabaseRegistry, shop: Path) -> None:
    _damage(shop, "customer")

    async def use(_executor: Executor, verifier: Verifier) -> None:
        with pytest.raises(DatabaseUnusable, match="'shop' is damaged"):
            await verifier.verify(_task(GOLD, GOLD))

    _run(registry, use)
