"""A statement that others keep from the processor is not slow: masked, to be sent again."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.sandbox.connections import Connections
from service.sandbox.examining import examine
from service.sandbox.executor import Executor
from service.sandbox.fileversion import version_of
from service.sandbox.gold import GoldCache
from service.sandbox.group import GroupJudge, Task
from service.sandbox.lease import Lease
from service.sandbox.limits import STARVED, Limits
from service.sandbox.process import WorkerLate
from service.sandbox.sqlite import Connection, Failure
from service.sandbox.waiting import Wanted
from service.text2sql.databases import DatabaseRegistry
from service.text2sql.types import VerifyTask
from service.text2sql.verifier import Verifier
from tests.crowd import crowded

SLOW = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1000000000) "
    "SELECT count(*) FROM c"
)
UNSTOPPABLE = "SELECT instr(printf('%.*c', 6000000, 'a'), printf('%.*c', 3000000, 'a') || 'b')"
NAPS = (
    "WITH RECURSIVE c(x) AS (SELECT nap() UNION ALL SELECT nap() FROM c LIMIT 20000) "
    "SELECT count(x) FROM c"
)
GOLD = "SELECT count(*) FROM customer"
LIMITS = Limits(query_timeout_s=0.5, gold_timeout_s=0.5, kill_grace_s=0.1)

linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system does not pin processes to processors"
)


def _in_a_crowd(use: Callable[[Executor], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Executor(workers=1, limits=LIMITS) as executor:
            with crowded(executor.pids()):
                return await use(executor)

    return asyncio.run(main())


@linux
@pytest.mark.parametrize("sql", [SLOW, UNSTOPPABLE], ids=["by its worker", "by the parent"])
def test_a_prediction_that_had_no_time_is_masked_and_may_come_again(
    registry: DatabaseRegistry, sql: str
) -> None:
    task = VerifyTask("shop", (GOLD,), (GOLD, sql))
    report = _in_a_crowd(lambda executor: Verifier(registry, executor).verify(task))
    right, starved = report.verdicts
    assert right.status == "match"
    assert (starved.status, starved.reward) == ("infra_error", None)
    assert (starved.masked, starved.retryable) == (True, True)
    assert starved.message == STARVED


@linux
@pytest.mark.parametrize("sql", [SLOW, UNSTOPPABLE], ids=["by its worker", "by the parent"])
def test_a_gold_that_had_no_time_is_not_called_slow(registry: DatabaseRegistry, sql: str) -> None:
    task = VerifyTask("shop", (sql,), (GOLD,))
    report = _in_a_crowd(lambda executor: Verifier(registry, executor).verify(task))
    assert report.gold.status == "infra_error"
    assert (report.verdicts[0].masked, report.verdicts[0].retryable) == (True, True)
    path = registry.get("shop").path
    examined = _in_a_crowd(lambda executor: examine(executor, path, sql, 0.5))
    assert (examined.status, examined.message) == ("infra_error", STARVED)


@linux
@pytest.mark.parametrize("sql", [SLOW, UNSTOPPABLE], ids=["by its worker", "by the parent"])
def test_a_single_statement_that_had_no_time_is_not_called_slow(
    registry: DatabaseRegistry, sql: str
) -> None:
    path = registry.get("shop").path
    result = _in_a_crowd(lambda executor: executor.query(path, sql, timeout_s=0.5, max_rows=1))
    assert (result.status, result.message) == ("infra_error", STARVED)


def _napping(lenient_text: bool) -> Connection:
    """A connection whose nap() takes time by the clock and none of the processor."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.create_function("nap", 0, lambda: time.sleep(0.001) if lenient_text else None)
    return Connection("", Limits(), db, lenient_text=lenient_text)


def test_only_what_had_its_time_on_the_processor_is_a_timeout() -> None:
    with closing(_napping(True)) as connection:
        for sql, status in ((NAPS, "infra_error"), (SLOW, "timeout"), (NAPS, "infra_error")):
            with pytest.raises(Failure) as failed, connection.run(sql, 0.4) as cursor:
                cursor.fetchall()
            assert failed.value.status == status


class _NapsWhereLenient(Connections):
    """Statements call nap(), which takes time in the run of the evaluators that drop odd bytes."""

    def get(self, path: str, version: str, role: str, *, lenient_text: bool = False) -> Connection:
        return _napping(lenient_text)


@pytest.mark.parametrize(
    ("gold", "prediction", "statuses"),
    [
        ("SELECT 1", NAPS, ["ok", "infra_error"]),
        (NAPS, "SELECT 1", ["infra_error"]),
        ("SELECT 1", f"{NAPS}; SELECT 1", ["ok", "forbidden"]),
    ],
    ids=["prediction", "gold", "known already"],
)
def test_a_later_metric_that_had_no_time_is_not_0(
    shop: Path, gold: str, prediction: str, statuses: list[str]
) -> None:
    task = Task(
        path=str(shop),
        version=version_of(os.stat(shop)),
        golds=[gold],
        predictions=[prediction],
        metrics=["bird_ex", "spider_exec"],
        timeout_s=0.4,
        gold_timeout_s=0.4,
        diff_rows=0,
        by_width=False,
    )
    judge = GroupJudge(task, _NapsWhereLenient(Limits()), GoldCache(Limits()), Limits())
    assert [answer["status"] for answer in judge.answers()] == statuses


class _Pool:
    """Who lends: nobody waits, and so many may be spared."""

    lower_after_s = 0.0

    def __init__(self, spares: int) -> None:
        self._spares = spares

    def overdue(self, lease: Lease) -> None:
        """Nobody waits."""

    def low(self) -> int:
        return 19

    def may_spare(self) -> bool:
        self._spares -= 1
        return self._spares >= 0


class _Worker:
    """A worker that gets `share` of the processor and answers after `answers_s` of the clock."""

    place, stopped = 0, False

    def __init__(self, share: float, answers_s: float = float("inf")) -> None:
        self.changes: list[str] = []
        self._share, self._since, self._answers_s = share, time.monotonic(), answers_s

    @property
    def cpu_s(self) -> float:
        return self._share * (time.monotonic() - self._since)

    async def receive(self, timeout_s: float) -> dict[str, Any]:
        if (frame := await self.receive_within(timeout_s)) is None:
            raise WorkerLate
        return frame

    async def receive_within(self, timeout_s: float) -> dict[str, Any] | None:
        await asyncio.sleep(timeout_s)
        if time.monotonic() - self._since < self._answers_s:
            return None
        self._since = time.monotonic()
        return {"answers": [{}]}

    def learn(self, keys: object) -> None:
        """It knows nothing."""

    def lower_priority(self, nice: int) -> None:
        self.changes.append("lowered")

    def restore_priority(self) -> bool:
        self.changes.append("restored")
        return True


def _leased(worker: _Worker, pool: _Pool) -> Callable[[], Awaitable[Any]]:
    lease = Lease(worker, pool, Wanted("shop"), "1", grace_s=0.0)
    return lambda: lease.receive(lambda: 0.5, lambda: 0.001)


@pytest.mark.parametrize(
    ("share", "spares", "changes", "starved"),
    [
        (0.03, 1, ["lowered", "restored"], True),
        (0.03, 0, ["lowered"], True),
        (0.8, 1, ["lowered"], False),
    ],
)
def test_who_is_kept_from_the_processor_gets_its_priority_back(
    share: float, spares: int, changes: list[str], starved: bool
) -> None:
    worker = _Worker(share)

    async def use() -> None:
        await _leased(worker, _Pool(spares))()

    with pytest.raises(WorkerLate) as late:
        asyncio.run(use())
    assert late.value.starved is starved
    assert worker.changes == changes


def test_the_next_statement_is_lowered_again() -> None:
    worker = _Worker(0.03, answers_s=0.9)

    async def use() -> None:
        receive = _leased(worker, _Pool(2))
        await receive()
        await receive()

    asyncio.run(use())
    assert worker.changes == ["lowered", "restored"] * 2
