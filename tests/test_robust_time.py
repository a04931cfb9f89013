"""`robust` within the time of its group: what is not reached is said, and disproves nothing."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.sandbox.executor import Executor
from service.sandbox.holding import Holding, hold
from service.sandbox.limits import Limits
from service.sandbox.waiting import Wanted
from service.text2sql.copies import Copies
from service.text2sql.databases import Database, DatabaseRegistry
from service.text2sql.robust import mark_coincidences
from service.text2sql.types import Robust, VerifyReport, VerifyTask
from service.text2sql.verdict_cache import GroupKey
from service.text2sql.verifier import Verifier

GOLD = "SELECT count(*) FROM customer"
SAME = "SELECT count(id) FROM customer"
WRONG = "SELECT count(*) FROM orders"
ROBUST = Robust(instances=4, seed=0)
LONG_S = 600.0
UNKNOWN = {"instances": 4, "usable": 0, "held": 0, "complete": False, "counterexample": None}


class EndlessCopies(Copies):
    """Builds for ever."""

    async def get(self, database: Database, sha256: str, robust: Robust) -> list[Path]:
        """Never ends."""
        await asyncio.Event().wait()
        return await super().get(database, sha256, robust)


def _matches() -> dict[str, Any]:
    return {sql: {"status": "ok", "metrics": {"bird_ex": 1.0}} for sql in (SAME, WRONG)}


async def _marked(executor: Executor, copies: Copies, shop: Path, seconds: float) -> dict[str, Any]:
    answers = _matches()
    key = GroupKey("0" * 64, (GOLD,), ("bird_ex",), 2.0, 2.0, 3, ROBUST)
    database, end = Database("shop", shop), time.monotonic() + seconds
    await mark_coincidences(executor, copies, database, key, (GOLD,), answers, end)
    return answers


def test_copies_that_are_not_there_in_time_disprove_nothing_and_are_there_later(
    shop: Path, tmp_path: Path
) -> None:
    async def main() -> Sequence[dict[str, Any]]:
        copies = Copies(tmp_path / "copies")
        async with Executor(workers=1, limits=Limits()) as executor:
            early = await _marked(executor, copies, shop, 0.0)
            later = await _marked(executor, copies, shop, LONG_S)
            late = await _marked(executor, copies, shop, -1.0)
            return early, later, late

    early, later, late = asyncio.run(main())
    for answers in (early, late):
        assert [answer["status"] for answer in answers.values()] == ["ok", "ok"]
        assert [answer["robust"] for answer in answers.values()] == [UNKNOWN] * 2
        assert all("time" in answer["message"] for answer in answers.values())
    assert [answer["status"] for answer in later.values()] == ["ok", "mismatch"]
    assert later[SAME]["robust"]["complete"]
    assert "message" not in later[SAME]


def test_waiting_for_a_worker_is_part_of_the_time(shop: Path, tmp_path: Path) -> None:
    async def main() -> tuple[list[dict[str, Any]], int]:
        copies = await Copies(tmp_path / "c").get(Database("shop", shop), "0" * 64, ROBUST)
        holding = Holding(copies, [GOLD], [SAME, WRONG], "bird_ex", 0, 1.0, 0.1)
        async with Executor(workers=1, limits=Limits()) as executor:
            async with executor.lease(Wanted(str(shop))):
                found = await hold(executor, shop, holding)
            return found, executor.queued

    assert asyncio.run(main()) == ([UNKNOWN] * 2, 0)


def test_a_group_ends_in_time_though_its_copies_do_not(
    registry: DatabaseRegistry, tmp_path: Path
) -> None:
    task = VerifyTask("shop", (GOLD,), (SAME, "SELECT 5"), robust=ROBUST)

    async def main() -> list[VerifyReport]:
        async with Executor(workers=1, limits=Limits(group_timeout_s=2.0)) as executor:
            verifier = Verifier(registry, executor, copies=EndlessCopies(tmp_path / "c"))
            return [await verifier.verify(task) for _ in range(2)]

    for report in asyncio.run(main()):
        match, mismatch = report.verdicts
        assert (match.status, match.robust, match.cached) == ("match", UNKNOWN, False)
        assert match.message
        assert "time" in match.message
        assert (mismatch.status, mismatch.robust, mismatch.message) == ("mismatch", None, None)
