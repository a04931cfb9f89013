"""Telling others of a job's states: at each of the supervisor's notes, later what was missed."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.message import message_id
from service.jobs.outbox import Outbox
from service.jobs.state import STATES, TERMINAL, JobState
from service.jobs.store import JobStore
from service.jobs.webhooks import Webhooks

_PAGE = 100  # jobs of each state that are looked at
_RECENT_S = 86_400.0
_KEEP_S = 7 * 86_400.0
_EVERY_S = 60.0
_COUNTED = 10_000
_LOG = logging.getLogger(__name__)


class Announcer:
    """The supervisor's observer. `count_over` is told each last state, once in this process."""

    def __init__(
        self, store: JobStore, count_over: Callable[[JobState], None], webhooks: Webhooks | None
    ) -> None:
        self._store = store
        self._count_over = count_over
        self._webhooks = webhooks
        self._counted: OrderedDict[str, None] = OrderedDict()

    async def noted(self, job_id: str) -> None:
        """The job has a new state, or may have; raises what the store and the outbox raise."""
        job = await self._store.get(job_id)
        self._count(job)
        if self._webhooks:
            await self._webhooks.announce(job)

    def _count(self, job: Job) -> None:
        key = message_id(job)
        if job.status in TERMINAL and key not in self._counted:
            self._counted[key] = None
            self._count_over(job.status)
            if len(self._counted) > _COUNTED:
                self._counted.popitem(last=False)


class Reminder:
    """Adds the messages that a killed service has left out, and forgets old ones."""

    def __init__(
        self, store: JobStore, outbox: Outbox, webhooks: Webhooks, every_s: float = _EVERY_S
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._webhooks = webhooks
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, with a first look at once."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> None:
        """Announce every state that no message tells; raises as the store does."""
        for state in STATES:
            await self._look_at(await self._store.page(limit=_PAGE, status=state))
        await self._outbox.forget(time.time() - _KEEP_S)

    async def _look_at(self, jobs: list[Job]) -> None:
        known = await self._outbox.known([message_id(job) for job in jobs])
        told_of = await self._outbox.told_of([job.id for job in jobs])
        for job in jobs:
            recent = (job.finished_at or 0) > time.time() - _RECENT_S and job.id in told_of
            if message_id(job) not in known and (job.status not in TERMINAL or recent):
                await self._webhooks.announce(job)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except VeriSQLError as error:
                _LOG.warning("webhooks cannot be compared with the jobs: %s", error)
            await asyncio.sleep(self._every_s)
