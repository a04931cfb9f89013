"""The newest numbers of the jobs that are under way, for gauges."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.jobs.state import STATES, TERMINAL, JobState

MOST = 100
"""Jobs of each state that have numbers, the newest ones: no more series than that."""
_WAITING = frozenset({"validating", "queued"})
_OF_THE_TRAINER = ("step", "reward", "useful_groups", "loss")

Page = Callable[[JobState], Awaitable[list[Job]]]


@dataclass(frozen=True, slots=True)
class JobNumbers:
    """One job; `values` holds what is known, by name."""

    job_id: str
    status: JobState
    values: dict[str, float]


async def numbers_under_way(page: Page) -> list[JobNumbers]:
    """Of every job that is neither waiting nor over; `page` gives the newest jobs in a state."""
    found = []
    for state in STATES:
        if state not in TERMINAL and state not in _WAITING:
            found += [await asyncio.to_thread(_numbers, job) for job in await page(state)]
    return found


def _numbers(job: Job) -> JobNumbers:
    values = {"progress": job.progress, "gpu_hours": job.cost(time.time()).gpu_hours}
    if job.eta_s is not None:
        values["eta_seconds"] = job.eta_s
    row = RunDir(job.run_dir).newest_metrics()
    for name in _OF_THE_TRAINER:
        if isinstance(value := row.get(name), int | float):
            values[name] = value
    return JobNumbers(job.id, job.status, values)
