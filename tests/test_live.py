"""A job's metrics, events and logs live, over real HTTP: replay, follow, resume, end."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from starlette.types import Message

from service.api.live import LiveJob
from service.client.sse import Event
from service.jobs.following import Batch, Item
from service.jobs.job import Job
from service.jobs.rundir import RunDir, RunStatus
from service.jobs.watching import Watching
from tests.fixtures_live import LONG_S, TWO_GPUS, JobService, Stream, job_service, stream, whole
from tests.test_api_errors import check_error


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobService]:
    with job_service(tmp_path_factory.mktemp("live")) as started:
        yield started


@pytest.fixture
def job(service: JobService) -> Job:
    """A running job."""
    return service.move(service.create(), "starting", "running")


def path_of(job: Job, what: str, **params: object) -> str:
    query = "&".join(f"{name}={value}" for name, value in params.items())
    return f"/train-jobs/{job.id}/{what}" + (f"?{query}" if query else "")


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def steps(events: list[Event]) -> list[object]:
    return [json.loads(event.data).get("step") for event in events if event.name == "metric"]


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def add(run: RunDir, *numbers: int, mark: str = "") -> None:
    for number in numbers:
        run.append_metrics({"step": number, "reward": number / 8, "mark": mark})


def test_what_is_there_comes_first_then_what_is_added_then_the_end(
    service: JobService, job: Job
) -> None:
    run = service.run(job)
    add(run, 1, 2)

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "metrics")) as opened:
            found = await opened.take(2)
            add(run, 3)
            found += await opened.take(1)
            add(run, 4)
            await asyncio.to_thread(service.move, job, "succeeded")
            return found + await opened.rest()

    found = asyncio.run(main())
    assert steps(found) == [1, 2, 3, 4]
    assert names(found)[-1] == "end"
    end = json.loads(found[-1].data)
    assert (end["id"], end["status"]) == (job.id, "succeeded")
    assert [event.id.split("-")[0] for event in found if event.id] == ["1", "2", "3", "4"]


def test_a_stream_goes_on_exactly_after_each_id(service: JobService, job: Job) -> None:
    run = service.run(job)
    add(run, *range(1, 151))  # more than the lines between two that the index remembers
    service.move(job, "succeeded")
    every = whole(service.url, path_of(job, "metrics"))
    assert steps(every) == list(range(1, 151))
    for place in (0, 62, 63, 64, 149):
        rest = every[place + 1 :]
        given = str(every[place].id)
        assert whole(service.url, path_of(job, "metrics"), last=given) == rest
        assert whole(service.url, path_of(job, "metrics", after=given)) == rest
        assert whole(service.url, path_of(job, "metrics", after=place + 1)) == rest


def test_the_event_that_is_noted_after_the_last_state_comes_before_the_end(
    service: JobService, job: Job
) -> None:
    run = service.run(job)

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "events")) as opened:
            await asyncio.to_thread(service.move, job, "succeeded")
            run.append_event("info", "state", "running -> succeeded")
            return await opened.rest()

    found = asyncio.run(main())
    assert names(found) == ["event", "end"]
    assert json.loads(found[0].data)["message"] == "running -> succeeded"


def test_a_torn_last_line_waits_for_its_end_and_a_spoilt_one_keeps_its_place(
    service: JobService, job: Job
) -> None:
    path = service.run(job).metrics_path
    path.write_bytes(b'{"step": 1}\n{"st')

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "metrics")) as opened:
            found = await opened.take(1)
            with path.open("ab") as file:
                file.write(b'ep": 2}\n{"st{"step": 4}\n{"to')
            found += await opened.take(2)
            await asyncio.to_thread(service.move, job, "succeeded")
            return found + await opened.rest()

    found = asyncio.run(main())
    assert steps(found) == [1, 2, None]
    assert json.loads(found[2].data) == {"unreadable": '{"st{"step": 4}'}
    assert names(found) == ["metric", "metric", "metric", "end"]


def test_a_resumed_run_that_drops_steps_voids_what_was_sent(service: JobService, job: Job) -> None:
    run = service.run(job)
    add(run, 1, 2, 3, 4)

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "metrics")) as opened:
            found = await opened.take(4)
            run.keep_steps(2)
            add(run, 3, 4, 5, mark="again")
            await asyncio.to_thread(service.move, job, "succeeded")
            return found + await opened.rest()

    found = asyncio.run(main())
    assert names(found) == ["metric"] * 4 + ["reset"] + ["metric"] * 5 + ["end"]
    assert steps(found[5:]) == [1, 2, 3, 4, 5]
    assert (found[4].id, json.loads(found[9].data)["mark"]) == ("0", "again")
    # Whoever was away meanwhile is told so, too; who saw only what was kept is not.
    assert names(whole(service.url, path_of(job, "metrics"), last=found[3].id))[0] == "reset"
    assert steps(whole(service.url, path_of(job, "metrics"), last=found[1].id)) == [3, 4, 5]


def test_a_folder_that_is_lost_ends_nothing_before_the_job_ends(
    service: JobService, job: Job
) -> None:
    add(service.run(job), 1)

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "metrics")) as opened:
            found = await opened.take(1)
            shutil.rmtree(job.run_dir)
            await asyncio.to_thread(service.move, job, "failed")
            return found + await opened.rest()

    assert names(asyncio.run(main())) == ["metric", "end"]
    for what in ("metrics", "events", "logs"):
        last = "1-00000000" if what != "logs" else "9"
        assert names(whole(service.url, path_of(job, what), last=last)) == ["end"]
        assert httpx.get(service.url + path_of(job, what)).json() == {"data": [], "next": 0}


def test_a_job_that_waits_keeps_its_stream_open_with_signs_of_life(service: JobService) -> None:
    queued = service.create()

    async def main() -> str:
        headers, text = {"Accept": "text/event-stream"}, ""
        async with (
            httpx.AsyncClient(base_url=service.url, timeout=LONG_S) as http,
            http.stream("GET", path_of(queued, "logs"), headers=headers) as response,
        ):
            async for chunk in response.aiter_text():
                text += chunk
                if text.count(": still here\n\n") == 3:
                    return text
        raise AssertionError(text)

    assert asyncio.run(main()).startswith("retry: 2000\n\n: still here")


def test_a_paused_job_keeps_its_stream_open_and_is_followed_when_it_goes_on(
    service: JobService, job: Job
) -> None:
    run = service.run(job)
    add(run, 1)
    service.move(job, "paused")

    async def main() -> str:
        headers, text = {"Accept": "text/event-stream"}, ""
        async with (
            asyncio.timeout(LONG_S),
            httpx.AsyncClient(base_url=service.url, timeout=LONG_S) as http,
            http.stream("GET", path_of(job, "metrics"), headers=headers) as response,
        ):
            async for chunk in response.aiter_text():
                text += chunk
                if text.count(": still here\n\n") >= 3 and not run.status():
                    run.write_status(RunStatus())
                    await asyncio.to_thread(service.move, job, "queued", "starting", "running")
                    add(run, 2)
                    await asyncio.to_thread(service.move, job, "succeeded")
        return text

    text = asyncio.run(main())
    first, quiet, rest = text.index('"step":1'), text.index(": still"), text.index('"step":2')
    assert first < quiet < rest < text.index("event: end")
    assert text.count("event: metric") == 2


def test_the_end_tells_what_the_job_has_cost(service: JobService) -> None:
    job = service.move(service.create(resources=TWO_GPUS), "starting", "running")
    service.change(job, active_s=1800.0)
    service.move(job, "succeeded")
    asked = httpx.get(f"{service.url}/train-jobs/{job.id}").json()
    assert asked["cost"] == {"gpu_hours": 1.0, "cpu_hours": 0.5 * job.spec.resources.cpus}
    assert json.loads(whole(service.url, path_of(job, "events"))[-1].data) == asked


def test_a_caller_that_goes_away_ends_the_looking(service: JobService, job: Job) -> None:
    async def main() -> None:
        async with stream(service.url, path_of(job, "events")):
            # The answer's head comes before the looking begins.
            await asyncio.to_thread(until, lambda: len(service.watching) == 1)

    asyncio.run(main())
    until(lambda: len(service.watching) == 0)


def test_many_watchers_cost_the_store_no_more_than_one(service: JobService, job: Job) -> None:
    run = service.run(job)
    add(run, 1)

    async def watch(opened: Stream) -> list[Event]:
        return await opened.rest()

    async def main() -> tuple[list[list[Event]], int, float]:
        async with AsyncExitStack() as stack:
            url, path = service.url, path_of(job, "metrics")
            opened = [await stack.enter_async_context(stream(url, path)) for _ in range(40)]
            assert len(service.watching) == 1
            before, began = service.looks, time.monotonic()
            add(run, 2)
            await asyncio.to_thread(service.move, job, "succeeded")
            found = await asyncio.gather(*(watch(one) for one in opened))
            return found, service.looks - before, time.monotonic() - began

    found, looks, seconds = asyncio.run(main())
    assert all(steps(one) == [1, 2] and names(one)[-1] == "end" for one in found)
    assert looks <= seconds / 0.05 + 2


def test_a_reader_that_takes_nothing_gets_nothing_read_for_it() -> None:
    class Endless:
        reads = 0

        def read(self, *, final: bool) -> Batch:
            self.reads += 1
            return Batch((Item(str(self.reads), b"{}"),))

    async def main() -> int:
        following, frames = Endless(), 0
        stuck = asyncio.Event()

        async def receive() -> Message:
            await stuck.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal frames
            frames += 1
            if frames == 5:
                await asyncio.sleep(0.2)  # long enough to read thousands
                stuck.set()
                await asyncio.sleep(LONG_S)

        watching = Watching(_never, LONG_S)
        answer = LiveJob(watching, _A_JOB, following, "metric", str)
        await answer({"type": "http"}, receive, send)
        assert len(watching) == 0
        return following.reads

    assert asyncio.run(main()) <= 4


async def _never(job_id: str) -> Job:
    return _A_JOB


class _Row:
    id, status, finished_at, run_dir = "job_1", "running", None, Path("/nowhere")


_A_JOB: Job = _Row()  # type: ignore[assignment]


def test_logs_are_followed_and_their_last_line_is_held_until_the_end(
    service: JobService, job: Job
) -> None:
    path = service.run(job).log_path
    path.write_bytes("one\ntwo \u2028 \x85\nthr".encode())

    async def main() -> list[Event]:
        async with stream(service.url, path_of(job, "logs")) as opened:
            found = await opened.take(2)
            with path.open("ab") as file:
                file.write(b"ee\n 10%|#\r 20%|##\nfou")
            found += await opened.take(3)
            await asyncio.to_thread(service.move, job, "succeeded")
            return found + await opened.rest()

    found = asyncio.run(main())
    assert [json.loads(event.data) for event in found[:-1]] == [
        "one", "two \u2028 \x85", "three", " 10%|#", " 20%|##", "fou",
    ]  # fmt: skip
    assert whole(service.url, path_of(job, "logs"), last=found[2].id) == found[3:]


@pytest.mark.parametrize(("tail", "lines"), [(1, [9]), (3, [7, 8, 9]), (99, list(range(10)))])
def test_the_tail_of_a_log_is_its_last_lines(
    service: JobService, job: Job, tail: int, lines: list[int]
) -> None:
    service.run(job).log_path.write_text("".join(f"{n}\n" for n in range(10)))
    page = httpx.get(service.url + path_of(job, "logs", tail=tail)).json()
    assert page == {"data": [str(n) for n in lines], "next": 20}
    service.move(job, "succeeded")
    found = whole(service.url, path_of(job, "logs", tail=tail))
    assert [json.loads(event.data) for event in found[:-1]] == [str(n) for n in lines]
    # A browser that connects again asks with the same URL.
    assert whole(service.url, path_of(job, "logs", tail=tail), last=found[0].id) == found[1:]


def test_a_log_that_is_shorter_than_its_cursor_begins_anew(service: JobService, job: Job) -> None:
    service.run(job).log_path.write_text("new\n")
    service.move(job, "succeeded")
    assert names(whole(service.url, path_of(job, "logs"), last="99")) == ["reset", "log", "end"]


def test_what_is_wrong_is_said_before_the_stream_begins(service: JobService, job: Job) -> None:
    live = {"Accept": "text/event-stream"}
    answer = httpx.get(f"{service.url}/train-jobs/job_none/events", headers=live)
    check_error(answer, 404, "unknown_job", None)
    url = service.url + path_of(job, "events")
    answer = httpx.get(url, headers=live | {"Last-Event-ID": "twelve"})
    check_error(answer, 422, "invalid_request", "Last-Event-ID")
    answer = httpx.get(service.url + path_of(job, "logs", tail=3, after=4))
    check_error(answer, 422, "invalid_request", "tail")
    for after in ("-1", "x", "1-zz"):
        answer = httpx.get(service.url + path_of(job, "metrics", after=after))
        check_error(answer, 422, "invalid_request", "after")


def test_a_stopping_service_says_so(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with job_service(tmp_path) as service:
            path = path_of(service.create(), "events")
            reading = pool.submit(whole, service.url, path)
            until(lambda: len(service.watching) == 1)
        found = reading.result(LONG_S)
    assert names(found) == ["error"]
    assert json.loads(found[0].data)["error"]["code"] == "unavailable"
