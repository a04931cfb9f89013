"""All questions of an evaluation, several at a time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from service.client import AsyncVerifyClient, Options, PatientClient
from service.commands.ask_question import Asker
from service.text2sql.evaluation import Outcome
from service.text2sql.evaluation.choose import Placed


async def ask_all(
    address: tuple[str, str | None],
    questions: Sequence[Placed],
    *,
    metrics: Sequence[str],
    options: Mapping[str, Any],
    concurrency: int,
    deadline_s: float,
    done: Callable[[Outcome], None],
) -> None:
    """`done` gets each outcome as it comes, never two at a time.

    `address` is the service's URL and a key; `deadline_s` bounds each call, retries included.
    Raises ServiceError, or what `done` raises; the other questions under way are then given up.
    """
    patience = Options(deadline_s=deadline_s, idle_timeout_s=deadline_s)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(PatientClient(*address, patience))
        verifier = await stack.enter_async_context(AsyncVerifyClient(*address, patience))
        asker = Asker(client, verifier, metrics, options)
        left = iter(questions)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(_ask_each(asker, left, done))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None


async def _ask_each(asker: Asker, left: Iterator[Placed], done: Callable[[Outcome], None]) -> None:
    for place, question in left:
        done(await asker.ask(place, question))
