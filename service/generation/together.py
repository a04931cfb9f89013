"""Several pieces of one answer at once, none of which outlives it."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, in order; the first failure ends the others and is raised.

    asyncio.gather alone would let the others run on for nobody.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        left = [task for task in tasks if not task.done() and task.cancel()]
        if left:
            await asyncio.wait(left)
