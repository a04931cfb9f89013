"""A service of training jobs alone, over real HTTP in a thread, for those who watch it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Unpack

import httpx
import uvicorn
from fastapi import FastAPI

from service.api import errors, health, job_streams, train_jobs
from service.api.middleware import RequestContext
from service.client.sse import Event, events
from service.jobs.intake import Jobs
from service.jobs.job import Changes, Job
from service.jobs.rundir import RunDir
from service.jobs.state import TERMINAL
from service.jobs.store import JobStore
from service.jobs.watching import Watching
from service.metrics import Metrics
from tests.fixtures_jobs import new_job, queued, store_at

TWO_GPUS = {"gpus_per_node": 2}
LONG_S = 60.0  # more than any step takes; what fails ends by it


class JobService:
    """A running service; jobs are moved on by the test, as a supervisor would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.looks = 0
        self.metrics = Metrics()
        self.watching: Watching
        self._store: JobStore
        self._loop: asyncio.AbstractEventLoop

    def create(self, **spec: Any) -> Job:
        """A queued job."""
        job: Job = self.call(queued(self._store, new_job(self.folder, **spec)))
        return job

    def run(self, job: Job) -> RunDir:
        job.run_dir.mkdir(parents=True, exist_ok=True)
        return RunDir(job.run_dir)

    def move(self, job: Job, *states: Any) -> Job:
        """Through these states, as the supervisor writes them."""
        for state in states:
            self.call(self._moved(job.id, state))
        moved: Job = self.call(self._store.get(job.id))
        return moved

    def change(self, job: Job, **changes: Unpack[Changes]) -> None:
        """Other columns, while it is in that state."""
        assert self.call(self._store.update(job, "test", **changes))

    def call(self, work: Awaitable[Any]) -> Any:
        async def inside() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(LONG_S)

    async def _moved(self, job_id: str, state: Any) -> None:
        if state == "starting":
            while (await self._store.get(job_id)).status == "queued":  # older ones come first
                await self._store.start_next("test", lease_s=LONG_S * 60, limit=1000)
            return
        job = await self._store.get(job_id)
        changes: Changes = {"status": state}
        if state in TERMINAL:
            changes["finished_at"] = time.time()
        assert await self._store.update(job, "test", **changes)

    async def counted(self, job_id: str) -> Job:
        self.looks += 1
        return await self._store.get(job_id)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self._store, self._loop = store_at(self.folder), asyncio.get_running_loop()
        await self._store.open()
        checks: Any = None  # only creating asks for them
        jobs = Jobs(self._store, checks, self.folder / "runs", lambda: None)
        self.watching = Watching(self.counted, 0.05, quiet_s=0.3)
        app.state.parts = SimpleNamespace(jobs=jobs, watching=self.watching, metrics=self.metrics)
        yield
        await self._store.close()


class Server(uvicorn.Server):
    """In a thread, which may not handle signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a free port of loopback; gives its address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, timeout_graceful_shutdown=1, lifespan="on"
    )
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(LONG_S)


@contextmanager
def job_service(folder: Path) -> Iterator[JobService]:
    service = JobService(folder)
    app = FastAPI(lifespan=service.lifespan)
    errors.install(app)
    app.add_middleware(RequestContext, metrics=service.metrics, max_body_bytes=2**20)
    for router in (train_jobs.router, job_streams.router, health.router):
        app.include_router(router)
    with served(app) as url:
        service.url = url
        yield service


class Stream:
    """One open stream, read event by event."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._events = events(chunks)

    async def next(self) -> Event:
        async with asyncio.timeout(LONG_S):
            return await anext(self._events)

    async def take(self, count: int) -> list[Event]:
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[Event]:
        """Up to the end of the answer."""
        async with asyncio.timeout(LONG_S):
            return [event async for event in self._events]


@asynccontextmanager
async def stream(url: str, path: str, last: str | None = None) -> AsyncIterator[Stream]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
    async with (
        httpx.AsyncClient(base_url=url, timeout=LONG_S, trust_env=False) as http,
        http.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response.aiter_bytes())


def whole(url: str, path: str, last: str | None = None) -> list[Event]:
    """Every event of a stream that ends."""

    async def read() -> list[Event]:
        async with stream(url, path, last) as opened:
            return await opened.rest()

    return asyncio.run(read())
