"""Before its trainer runs, a job waits for room on a full disk instead of failing.

A disk that is full for an hour must not fail a whole queue. Once a
trainer runs it is otherwise: one that cannot save would hold its machine for nothing, so the job
fails, and is resumed by whoever has freed some space.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from service.errors import Unavailable, VeriSQLError
from service.jobs.job import Job
from service.jobs.rundir import is_full
from service.jobs.store import JobStore

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
_LONGEST_PAUSE_S = 600.0


class Room:
    """Waits for it on behalf of `owner`, who has a lease of `lease_s` on the job.

    Looks again after `pause_s` seconds, twice as long after each further try, at most 600: a model
    that fills the disk anew each time must not do so without pause.
    """

    def __init__(self, store: JobStore, owner: str, pause_s: float, lease_s: float) -> None:
        self._store = store
        self._owner = owner
        self._pause_s = pause_s
        self._lease_s = lease_s

    async def wait(self, job: Job, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives, begun again as long as the disk is full; meanwhile `reason` says so.

        Raises what else `work` raises, and Unavailable once another service has the job. Whoever
        does not want to wait any more cancels this.
        """
        told, pause_s, ours = job.reason, self._pause_s, True
        while True:
            try:
                if ours:
                    return await work()
            except Exception as error:
                if not is_full(error):
                    raise
                if str(error) != told and await self._tell(job, str(error)):
                    told = str(error)
            await asyncio.sleep(pause_s)
            ours = await self._is_ours(job)
            pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, self._pause_s))

    async def _is_ours(self, job: Job) -> bool:
        """False while the store cannot be asked.

        Raises Unavailable where the lease ran out: whoever has it now prepares the run.
        """
        try:
            held = await self._store.hold(job, self._owner, lease_s=self._lease_s)
        except VeriSQLError:
            return False
        if not held:
            raise Unavailable(f"{job.id} is looked after by another service")
        return True

    async def _tell(self, job: Job, reason: str) -> bool:
        """Whether it could be written down."""
        _LOG.warning("job %s waits: %s", job.id, reason)
        with suppress(VeriSQLError):  # The store may be on the same disk.
            return await self._store.update(job, self._owner, reason=reason)
        return False
