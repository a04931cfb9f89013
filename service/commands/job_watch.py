"""`verisql jobs watch | logs | events`: what a job tells, as it comes. Ctrl-C ends the watching."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.console import Console
from rich.live import Live

from service import terminal
from service.client import Client, ServiceError
from service.client.follow import follow, following_client
from service.client.wire import decode, no_answer, refusal
from service.commands.job_view import LineView, LivePicture, View, dated
from service.commands.options import Key, Url, address
from service.pages.texts import visible

JobId = Annotated[str, typer.Argument(help="The job's id.")]
Tail = Annotated[int | None, typer.Option(min=1, max=10_000, help="Only the last lines.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job's end.")]
_POLL_S = 2.0


def watch(job_id: JobId, url: Url = None, api_key: Key = None) -> None:
    """State, progress, curves and events, live; ends with 1 unless the job succeeds."""
    where = address(url, api_key)
    console = Console()
    if not console.is_terminal:
        work = _watched(*where, job_id, LineView(console), poll=False)  # events tell the states
        job = _until_stopped(work, job_id)
    else:
        view = LivePicture()
        with Live(view, console=console, refresh_per_second=4):
            job = _until_stopped(_watched(*where, job_id, view, poll=True), job_id)
    if job["status"] != "succeeded":
        raise typer.Exit(1)


def logs(
    job_id: JobId,
    tail: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Only the last lines.")
    ] = None,
    following: Follow = False,
    url: Url = None,
    api_key: Key = None,
) -> None:
    """The trainer's output, so far or (`--follow`) until the job's end."""
    where, path = address(url, api_key), f"/train-jobs/{job_id}/logs"
    if following:
        params = {"tail": tail} if tail else {}
        _until_stopped(_printed(*where, path, params), job_id)
        return
    with Client(*where) as client:
        page = client.get(path, tail=tail, max_bytes=None if tail else 1_048_576)
        while page["data"]:
            terminal.show_lines([visible(line) for line in page["data"]])
            page = client.get(path, after=page["next"], max_bytes=1_048_576)


def events(job_id: JobId, following: Follow = False, url: Url = None, api_key: Key = None) -> None:
    """What happened, so far or (`--follow`) until the job's end."""
    where, path = address(url, api_key), f"/train-jobs/{job_id}/events"
    if following:
        _until_stopped(_printed(*where, path, {}), job_id)
        return
    with Client(*where) as client:
        page = client.get(path)
        while page["data"]:
            terminal.show_lines([dated(row) for row in page["data"]])
            page = client.get(path, after=page["next"])


def _until_stopped(work: Coroutine[Any, Any, dict[str, Any]], job_id: str) -> dict[str, Any]:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        told = f"no longer watching; the job goes on (verisql jobs cancel {job_id} ends it)"
        Console(stderr=True, soft_wrap=True).print(told, markup=False, highlight=False)
        raise typer.Exit(130) from None


async def _watched(
    url: str, key: str | None, job_id: str, view: View, *, poll: bool
) -> dict[str, Any]:
    """Tell the view until the job's end; the job as it then is."""
    path = f"/train-jobs/{job_id}"
    async with following_client(url, key) as http:
        view.job(await _get(http, path))
        polling = [asyncio.create_task(_poll(http, path, view))] if poll else []
        metrics = asyncio.create_task(_follow_metrics(http, path, view))
        ending = asyncio.create_task(_follow_events(http, path, view))
        try:
            await asyncio.gather(metrics, ending)
        finally:
            for task in (*polling, metrics, ending):
                task.cancel()
            await asyncio.gather(*polling, metrics, ending, return_exceptions=True)
        view.job(ending.result())
        return ending.result()


async def _follow_metrics(http: httpx.AsyncClient, path: str, view: View) -> None:
    # The other stream tells of breaks.
    async for event in follow(http, f"{path}/metrics", {}, lambda _: None):
        if event.name == "metric":
            view.metric(orjson.loads(event.data))
        elif event.name == "reset":
            view.forget_metrics()


async def _follow_events(http: httpx.AsyncClient, path: str, view: View) -> dict[str, Any]:
    broken = False

    def told(error: ServiceError) -> None:
        nonlocal broken
        broken = True
        view.trouble(str(error))

    job: dict[str, Any] = {}
    async for event in follow(http, f"{path}/events", {}, told):
        if event.name == "open" and broken:
            broken = False
            view.trouble(None)
        elif event.name == "event":
            view.event(orjson.loads(event.data))
        elif event.name == "end":
            job = orjson.loads(event.data)
    return job


async def _poll(http: httpx.AsyncClient, path: str, view: View) -> None:
    while True:
        await asyncio.sleep(_POLL_S)
        with contextlib.suppress(ServiceError):  # the streams tell of it
            view.job(await _get(http, path))


async def _get(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    try:
        response = await http.get(path)
    except httpx.TransportError as error:
        raise no_answer(error, str(http.base_url)) from error
    if not response.is_success:
        raise refusal(response)
    return decode(response.content)


async def _printed(url: str, key: str | None, path: str, params: dict[str, Any]) -> dict[str, Any]:
    err = Console(stderr=True, soft_wrap=True)

    def told(error: ServiceError) -> None:
        err.print(f"connection lost, trying again: {error}", markup=False, highlight=False)

    job: dict[str, Any] = {}
    async with following_client(url, key) as http:
        async for event in follow(http, path, params, told):
            if event.name == "log":
                terminal.show_lines([visible(orjson.loads(event.data))])
            elif event.name == "event":
                terminal.show_lines([dated(orjson.loads(event.data))])
            elif event.name == "reset":
                err.print("what stands above is void: the file was replaced", markup=False)
            elif event.name == "end":
                job = orjson.loads(event.data)
    return job
