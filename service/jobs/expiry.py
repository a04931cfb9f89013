"""Removes the run folders of jobs that ended `ttl_s` ago; their rows stay.

First the row says that the folder is gone (`gone_at`), then it goes, then the row forgets the date
(`expires_at`): after a crash in between the removal is done again, and no job can be resumed from a
folder that is half removed. A folder that something still needs stays, and is looked at again
later: a fork that has not ended for good starts from it, a registered adapter was taken from it.
"""

import asyncio
import logging
import shutil
import time
from pathlib import Path

from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.store import JobStore
from service.models.adapters import taken_from

_AT_ONCE = 8
_LATER_S = 3600.0
_LOG = logging.getLogger(__name__)


class Expiry:
    """`registered` is the folder of registered adapters."""

    def __init__(self, store: JobStore, registered: Path) -> None:
        self._store = store
        self._registered = registered

    async def remove_what_is_due(self) -> None:
        """One look; raises what the store raises."""
        for job in await self._store.expired(limit=_AT_ONCE):
            await self._remove(job)

    async def _remove(self, job: Job) -> None:
        if job.gone_at is None and not await self._may_go(job):
            await self._store.postpone(job, time.time() + _LATER_S)
            return
        try:
            await asyncio.to_thread(_remove_folder, job)
        except (OSError, VeriSQLError) as error:
            _LOG.warning("job %s: its folder cannot be removed yet: %s", job.id, error)
            await self._store.postpone(job, time.time() + _LATER_S)
            return
        await self._store.postpone(job, None)
        _LOG.info("job %s: its folder is removed, ttl_s=%s", job.id, job.spec.ttl_s)

    async def _may_go(self, job: Job) -> bool:
        if await asyncio.to_thread(taken_from, self._registered, job.run_dir):
            return False
        return await self._store.mark_gone(job)


def _remove_folder(job: Job) -> None:
    if job.run_dir.name != job.id:
        raise VeriSQLError(f"{job.run_dir} is not named after its job")
    if job.run_dir.exists():
        shutil.rmtree(job.run_dir)
