"""A service that writes: what tests of the store start as a process, and kill.

python -m tests.store_writer create URL FOLDER         writes without end
python -m tests.store_writer start URL OWNER LIMIT     starts each queued job and ends it, once told

A line on stdout says what the store has acknowledged.
"""

import asyncio
import sys
from pathlib import Path

from service.feedback.records import AnswerRecord, Given
from service.feedback.store import FeedbackStore
from service.jobs.store import JobStore
from tests.fixtures_jobs import new_job

LEASE_S = 600.0


def say(kind: str, what: object) -> None:
    sys.stdout.write(f"{kind} {what}\n")
    sys.stdout.flush()


async def create(url: str, folder: Path) -> None:
    jobs, said = JobStore(url), FeedbackStore(url)
    await jobs.open()
    await said.open()
    while True:
        job = await jobs.create(new_job(folder, metadata={"k": "v" * 500}))
        say("job", job.id)
        await jobs.wish_cancel(job.id)
        say("wish", job.id)
        answer = AnswerRecord(job.id, "shop", "a", "How many?", "", "SELECT 1", "ok", "m", "b")
        outcome = await said.give(answer, Given(job.id, "negative"), None)
        say("feedback", outcome.feedback.id)


async def start(url: str, owner: str, limit: int) -> None:
    store = JobStore(url)
    await store.open()
    say("ready", owner)
    sys.stdin.readline()  # All begin at once.
    while await store.page(limit=1, status="queued"):
        job = await store.start_next(owner, lease_s=LEASE_S, limit=limit)
        say("active", len(await store.page(limit=1000, status="starting")))
        if job is not None:
            say("started", job.id)
            assert await store.update(job, owner, status="failed")
    await store.close()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["create", url, folder]:
            asyncio.run(create(url, Path(folder)))
        case ["start", url, owner, limit]:
            asyncio.run(start(url, owner, int(limit)))
