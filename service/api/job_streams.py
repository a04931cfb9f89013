"""What a training job tells: metrics, events and logs, as a page or live (live.py)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, WithJsonSchema

from service.api.deps import Parts, PartsDep
from service.api.events import EVENT_STREAM
from service.api.live import LiveJob
from service.api.train_jobs import JobId, JobView
from service.errors import InvalidRequest
from service.jobs.following import CURSOR, Cursor, Following, Lines, Rows
from service.jobs.intake import TAIL_BYTES, Page
from service.jobs.job import Job
from service.jobs.rundir import RunDir

router = APIRouter(prefix="/train-jobs", tags=["train-jobs"])

After = Annotated[
    str,
    Query(pattern=CURSOR, description="`next` of the page before, or the `id` of a stream"),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
]
LastEventId = Annotated[
    str | None, Header(max_length=64, description="of a stream that broke; goes before `after`")
]
Limit = Annotated[int, Query(ge=1, le=10_000, description="of a page; a stream has none")]
_LIVE: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}
}


class RowPage(BaseModel):
    """Part of a series of objects."""

    data: list[dict[str, Any]]
    next: Annotated[int, Field(description="cursor of what comes after: pass it as `after`")]

    @classmethod
    def of(cls, page: Page) -> "RowPage":
        """The public side of a page of rows."""
        return cls(data=list(page.data), next=page.next)


class LinePage(BaseModel):
    """Part of a log."""

    data: list[str]
    next: Annotated[int, Field(description="cursor of what comes after: pass it as `after`")]

    @classmethod
    def of(cls, page: Page) -> "LinePage":
        """The public side of a page of lines."""
        return cls(data=list(page.data), next=page.next)


@dataclass(frozen=True, slots=True)
class RowsAsked:
    """What a caller wants of a series of rows."""

    job_id: JobId
    request: Request
    parts: PartsDep
    after: After = "0"
    limit: Limit = 1000
    last_event_id: LastEventId = None

    async def answer(
        self, name: str, page: Callable[..., Awaitable[Page]], path: Callable[[RunDir], Path]
    ) -> RowPage | Response:
        """A page, or the file at `path` live, each row as an event `name`."""
        if _wants_live(self.request):
            job = await self.parts.jobs.get(self.job_id)
            start = _start(self.after, self.last_event_id)
            return _live(self.parts, job, Rows(path(RunDir(job.run_dir)), start), name)
        number = Cursor.read(self.after).number
        return RowPage.of(await page(self.job_id, after=number, limit=self.limit))


Asked = Annotated[RowsAsked, Depends()]


@router.get("/{job_id}/metrics", response_model=RowPage, responses=_LIVE)
async def train_job_metrics(asked: Asked) -> RowPage | Response:
    """The trainer's numbers, one row a step: reward, loss and others.

    With `Accept: text/event-stream` they come live, each as an event `metric`, until `end`.
    """
    return await asked.answer("metric", asked.parts.jobs.metrics, lambda run: run.metrics_path)


@router.get("/{job_id}/events", response_model=RowPage, responses=_LIVE)
async def train_job_events(asked: Asked) -> RowPage | Response:
    """What happened, each with `created_at`, `level`, `type`, `message`.

    With `Accept: text/event-stream` they come live, each as an event `event`, until `end`.
    """
    return await asked.answer("event", asked.parts.jobs.events, lambda run: run.events_path)


@router.get("/{job_id}/logs", response_model=LinePage, responses=_LIVE)
async def train_job_logs(
    job_id: JobId,
    request: Request,
    parts: PartsDep,
    after: After = "0",
    max_bytes: Annotated[
        int, Query(ge=1024, le=1_048_576, description="of a page; a stream has no bound")
    ] = 65_536,
    tail: Annotated[
        int | None, Query(ge=1, le=10_000, description="begin with the last lines; at most 1 MiB")
    ] = None,
    last_event_id: LastEventId = None,
) -> LinePage | Response:
    """Lines that the trainer printed; the cursor counts bytes.

    With `Accept: text/event-stream` they come live, each as an event `log`, until `end`.
    """
    start = _start(after, last_event_id if _wants_live(request) else None)
    if tail and start.number and not last_event_id:
        raise InvalidRequest(
            f"tail={tail} and after={after} name two places to begin at: give one", param="tail"
        )
    if tail and not start.number:
        start, max_bytes = Cursor(await parts.jobs.log_start(job_id, tail)), TAIL_BYTES
    if _wants_live(request):
        job = await parts.jobs.get(job_id)
        return _live(parts, job, Lines(RunDir(job.run_dir), start), "log")
    return LinePage.of(await parts.jobs.logs(job_id, after=start.number, max_bytes=max_bytes))


def _wants_live(request: Request) -> bool:
    return EVENT_STREAM in request.headers.get("accept", "")


def _start(after: str, last_event_id: str | None) -> Cursor:
    try:
        return Cursor.read(last_event_id or after)
    except ValueError:
        raise InvalidRequest(
            f"Last-Event-ID={last_event_id!r} is not the id of an event of this stream, such as "
            "12-1f3a9b2c; leave it out to begin anew",
            param="Last-Event-ID",
        ) from None


def _live(parts: Parts, job: Job, following: Following, name: str) -> Response:
    return LiveJob(parts.watching, job, following, name, _final)


def _final(job: Job) -> str:
    return JobView.of(job).model_dump_json()
