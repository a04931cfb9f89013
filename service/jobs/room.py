"""Before its trainer runs, a job waits for room on a full disk instead of failing.

Waiting costs nothing, and a disk that is full for an hour must not fail a whole queue. Once a
trainer runs it is otherwise: one that cannot save would hold its machine for nothing, so the job
fails, and is resumed by whoever has freed some space.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.rundir import is_full
from service.jobs.store import JobStore

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Room:
    """Waits for it on behalf of `owner`, looking again every `pause_s` seconds."""

    def __init__(self, store: JobStore, owner: str, pause_s: float) -> None:
        self._store = store
        self._owner = owner
        self._pause_s = pause_s

    async def wait(self, job: Job, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, begun again as long as the disk is full; meanwhile `reason` says so.

        Raises what else `work` raises. Whoever does not want to wait any more cancels this.
        """
        told = job.reason
        while True:
            try:
                return await work()
            except Exception as error:
                if not is_full(error):
                    raise
                if str(error) != told:
                    told = str(error)
                    await self._tell(job, told)
            await asyncio.sleep(self._pause_s)

    async def _tell(self, job: Job, reason: str) -> None:
        _LOG.warning("job %s waits: %s", job.id, reason)
        with suppress(VeriSQLError):  # The store may be on the same disk.
            await self._store.update(job, self._owner, reason=reason)
