"""A caller of a store is cancelled: what it began ends whole, and close() waits for it."""

import ast
import asyncio
import gc
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errands import Errands
from service.jobs.job import NewJob
from service.jobs.store import JobStore
from tests.fixtures_jobs import new_job

SERVICE = Path(__file__).parents[1] / "service"
_TRANSACTION = re.compile(r"self\._begin\(\w*\) as ")


async def _cancelled(task: asyncio.Task[object], times: int) -> bool:
    """Cancel it at as many turns of the loop; True if the caller was let go."""
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_a_cancelled_caller_began_to_write_is_there_after_close(
    store_url: str, tmp_path: Path, times: int
) -> None:
    async def main() -> tuple[list[bool], set[str], set[str]]:
        store, let_go, begun = JobStore(store_url), [], set()
        await store.open()
        for turns in range(1, 40):
            given: NewJob = new_job(tmp_path)
            task = asyncio.create_task(store.create(given))
            for _ in range(turns):
                await asyncio.sleep(0)
            begun.add(given.id)
            let_go.append(await _cancelled(task, times))
        await store.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        again = JobStore(store_url)
        await again.open()
        found = {job.id for job in await again.page(limit=100)}
        await again.close()
        return let_go, begun, found

    let_go, begun, found = asyncio.run(main())
    assert any(let_go)
    assert found == begun


def test_a_loop_that_ends_while_readers_are_cancelled_does_not_hang(
    store_url: str, tmp_path: Path
) -> None:
    async def main(turns: int) -> None:
        store = JobStore(store_url)
        readers = [asyncio.create_task(store.get(job_id)) for _ in range(2)]
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        for reader in readers:
            reader.cancel()
        await asyncio.sleep(0)
        for reader in readers:
            reader.cancel()
        await store.close()

    async def first() -> str:
        store = JobStore(store_url)
        await store.open()
        job = await store.create(new_job(tmp_path))
        await store.close()
        return job.id

    job_id = asyncio.run(first())
    for turns in range(20):
        asyncio.run(main(turns))
    gc.collect()  # A connection that nobody gave back would say so here.


def test_an_errand_gives_its_value_or_its_exception(caplog: pytest.LogCaptureFixture) -> None:
    async def half(number: int) -> int:
        await asyncio.sleep(0)
        return 6 // number

    async def main() -> None:
        errands = Errands()
        assert await errands.run(half(2)) == 3
        with pytest.raises(ZeroDivisionError):
            await errands.run(half(0))
        lost = asyncio.create_task(errands.run(half(0)))
        await asyncio.sleep(0)
        assert await _cancelled(lost, 1)
        await errands.end()

    asyncio.run(main())
    gc.collect()
    assert caplog.messages == []


def _transactions() -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and _TRANSACTION.search(ast.unparse(node)):
                yield f"{path.name} {node.name}", node


def test_every_method_with_a_transaction_runs_to_its_end() -> None:
    found = dict(_transactions())
    assert len(found) > 10
    bare = [n for n, node in found.items() if "whole" not in map(ast.unparse, node.decorator_list)]
    assert bare == []
