"""What is told of a job once its row has been written: in log, events, to an observer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.rundir import RunDir, RunError

Observer = Callable[[str], Awaitable[None]]
"""Is told the id of a job whose state has been written."""
_LOG = logging.getLogger(__name__)


class Notes:
    """Whoever writes a job's state ends here. Nothing that fails here undoes what was written."""

    def __init__(self, observe: Observer | None = None) -> None:
        self._observe = observe

    async def note(self, job: Job, message: str, error: RunError | None = None) -> None:
        """Tell of it in the log and in the run's events, then the observer."""
        _LOG.info("job %s: %s", job.id, message)
        try:
            await asyncio.to_thread(_append_event, job, message, error)
        except OSError as reason:
            _LOG.warning("job %s: the event %r cannot be written: %s", job.id, message, reason)
        await self.announce(job)

    async def announce(self, job: Job) -> None:
        """Tell the observer alone: of a job that has no events yet."""
        if self._observe is None:
            return
        try:
            await self._observe(job.id)
        except VeriSQLError as reason:
            _LOG.warning("job %s: its state cannot be announced: %s", job.id, reason)


def _append_event(job: Job, message: str, error: RunError | None) -> None:
    job.run_dir.mkdir(parents=True, exist_ok=True)
    level = "error" if error else "info"
    data = {"error": error.model_dump()} if error else {}
    RunDir(job.run_dir).append_event(level, "state", message, **data)
