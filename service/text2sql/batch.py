"""Verify many groups, some at a time, and hand over each as it is done."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from service.text2sql.types import VerifyReport, VerifyTask

Verify = Callable[[VerifyTask], Awaitable[VerifyReport]]
Outcome = VerifyReport | Exception


async def verify_each(
    verify: Verify, tasks: Sequence[VerifyTask], at_once: int
) -> AsyncGenerator[tuple[int, Outcome], None]:
    """(place, report or error) of every task as it finishes, at most `at_once` under way.

    An error, of whatever kind, is the outcome of its own task only: the others go on. Closing the
    iterator ends the work that is under way.
    """
    done: asyncio.Queue[tuple[int, Outcome]] = asyncio.Queue()
    places = iter(range(len(tasks)))

    async def work() -> None:
        for place in places:
            done.put_nowait((place, await _outcome(verify, tasks[place])))

    workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(tasks)))]
    try:
        for _ in tasks:
            yield await done.get()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _outcome(verify: Verify, task: VerifyTask) -> Outcome:
    try:
        return await verify(task)
    except Exception as error:  # noqa: BLE001 - handed over as a value
        return error
