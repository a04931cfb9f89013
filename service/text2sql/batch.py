"""Verify many groups, some at a time, and hand over each as it is done."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from service.errors import VeriSQLError
from service.text2sql.types import VerifyReport, VerifyTask

Verify = Callable[[VerifyTask], Awaitable[VerifyReport]]
Outcome = VerifyReport | VeriSQLError


async def verify_each(
    verify: Verify, tasks: Sequence[VerifyTask], at_once: int
) -> AsyncGenerator[tuple[int, Outcome], None]:
    """(place, report or error) of every task as it finishes, at most `at_once` under way.

    Raises what is not a VeriSQLError. Closing the iterator ends the work that is under way.
    """
    done: asyncio.Queue[tuple[int, Outcome] | BaseException] = asyncio.Queue()
    places = iter(range(len(tasks)))

    async def work() -> None:
        for place in places:
            done.put_nowait((place, await _outcome(verify, tasks[place])))

    def ended(worker: asyncio.Task[None]) -> None:
        if not worker.cancelled() and (error := worker.exception()):
            done.put_nowait(error)

    workers = [asyncio.create_task(work()) for _ in range(min(at_once, len(tasks)))]
    for worker in workers:
        worker.add_done_callback(ended)
    try:
        for _ in tasks:
            outcome = await done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            yield outcome
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _outcome(verify: Verify, task: VerifyTask) -> Outcome:
    try:
        return await verify(task)
    except VeriSQLError as error:
        return error
