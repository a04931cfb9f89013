"""Spare workers: made up for while a lease is aside for long, and never lost by one that is not."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from service.sandbox.lease import Lease
from service.sandbox.limits import Limits
from service.sandbox.pool import SPARE, Pool
from service.sandbox.waiting import Wanted
from tests.arena import write_database
from tests.conftest import SHOP


async def _alive(pool: Pool, many: int) -> None:
    while len(pool.pids()) != many:
        await asyncio.sleep(0.01)


async def _two_in_one_slot(pool: Pool, wanted: Wanted, held: AsyncExitStack) -> Lease:
    """Lease the only slot, have it taken, and lease it again; the first lease is returned."""
    first = await held.enter_async_context(pool.lease(wanted))
    pool.overdue(first)
    await held.enter_async_context(pool.lease(wanted))
    return first


def test_the_spare_workers_are_all_there_however_long_a_lease_was_aside(tmp_path: Path) -> None:
    wanted = Wanted(str(write_database(tmp_path / "shop.sqlite", SHOP)))

    async def use() -> None:
        pool = Pool(1, Limits(), max_queued=8, queue_timeout_s=30)
        await pool.start()
        try:
            for until_restocked in (False, True, False, True):
                async with AsyncExitStack() as held:
                    first = await _two_in_one_slot(pool, wanted, held)
                    assert (first.aside, pool.aside) == (True, 1)
                    if until_restocked:
                        await _alive(pool, 2 + SPARE)
                await _alive(pool, 1 + SPARE)
                assert (pool.busy, pool.aside, pool.replaced) == (0, 0, 0)
        finally:
            await pool.close()

    asyncio.run(asyncio.wait_for(use(), 60))
