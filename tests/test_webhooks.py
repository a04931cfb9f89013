"""Webhooks against real receivers that fail, hang, and answer 500 before 200."""

import asyncio
import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.demo import build_demo
from service.errors import SettingsError
from service.jobs.announcing import Announcer, Reminder
from service.jobs.checks import Checks
from service.jobs.intake import Jobs
from service.jobs.job import Job
from service.jobs.outbox import Outbox
from service.jobs.receivers import Receivers
from service.jobs.signature import read_keys, signed_headers
from service.jobs.store import JobStore
from service.jobs.webhooks import Patience, Webhooks
from service.settings import load_settings
from service.text2sql.databases import DatabaseRegistry
from tests.fixtures_jobs import (
    job_row,
    launcher,
    new_job,
    queued,
    store_at,
    supervisor_over,
    until,
    until_status,
)

pytest_plugins = ["tests.fixtures_stores"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEYS = read_keys(SECRET)
QUICK = Patience(timeout_s=2, first_s=0.02, longest_s=0.1, idle_s=0.05)


class Receiver:
    """Answers with these statuses in turn, the last one from then on; 0 hangs until `let_go`."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[tuple[dict[str, str], bytes, float]] = []
        self.let_go = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                owner.got.append((dict(self.headers), body, time.monotonic()))
                status = owner.statuses.pop(0) if len(owner.statuses) > 1 else owner.statuses[0]
                if status == 0:
                    owner.let_go.wait(60)
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.send_header("location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?token=hush"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def told(self) -> list[tuple[str, str]]:
        """Message ids and types, in order, repetitions included."""
        return [(h["webhook-id"], json.loads(body)["type"]) for h, body, _ in self.got]

    def close(self) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Any]:
    opened: list[Receiver] = []

    def make(*statuses: int) -> Receiver:
        opened.append(Receiver(*statuses))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


class Running:
    """Webhooks over a store of jobs."""

    def __init__(self, url: str, store: JobStore, urls: list[str], patience: Patience) -> None:
        self.store = store
        self.counts: list[str] = []
        self.over: list[str] = []
        self.outbox = Outbox(url)
        receivers = Receivers(tuple(urls), KEYS)
        self.webhooks = Webhooks(self.outbox, receivers, self.counts.append, patience)
        self.announcer = Announcer(store, self.over.append, self.webhooks)
        self.reminder = Reminder(store, self.outbox, self.webhooks)

    async def until_delivered(self) -> None:
        await until(self.outbox.waiting, lambda count: count == 0, "an empty outbox")


@asynccontextmanager
async def running(folder: Path, *to: Receiver, patience: Patience = QUICK) -> Any:
    store = store_at(folder)
    await store.open()
    url = f"sqlite+aiosqlite:///{folder / 'jobs.db'}"
    one = Running(url, store, [receiver.url for receiver in to], patience)
    await one.webhooks.start()
    try:
        yield one
    finally:
        await one.webhooks.close()
        await store.close()


async def started(store: JobStore, folder: Path) -> Job:
    """A job in the state `starting`, not announced."""
    await queued(store, new_job(folder))
    job = await store.start_next("test", lease_s=600, limit=100)
    assert job
    return job


def test_the_published_example_is_signed_as_published() -> None:
    message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed_headers(KEYS, *message) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    both = signed_headers((*KEYS, b"x" * 32), *message)["webhook-signature"].split(" ")
    assert (len(both), both[0]) == (2, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


@pytest.mark.parametrize(
    ("urls", "secret", "said"),
    [
        ("http://x/hook", "", "VERISQL_WEBHOOK_SECRET is not"),
        ("ftp://x/hook", SECRET, "'ftp://x/hook' must be http://HOST"),
        ("https:///hook", SECRET, "must be http://HOST"),
        ("http://x:port/", SECRET, "must be http://HOST"),
        ("http://x/", "whsec_not base64!", "key 1 is not Base64"),
        ("http://x/", f"{SECRET},whsec_AAAA", "key 2 has 3 bytes"),
    ],
)
def test_wrong_settings_are_named_and_no_secret_is_repeated(
    urls: str, secret: str, said: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(webhook_urls=urls, webhook_secret=secret)
    assert said in str(raised.value)
    assert not any(part in str(raised.value) for part in secret.split(",") if part)


def test_addresses_and_keys_are_lists() -> None:
    assert load_settings().webhooks is None
    found = load_settings(
        webhook_urls="http://a/1, http://[::1]:80/2,http://a/1,",
        webhook_secret=f"{SECRET},{SECRET}",
    ).webhooks
    assert found == Receivers(("http://a/1", "http://[::1]:80/2"), KEYS * 2)


def intake(folder: Path, one: Running) -> Jobs:
    """What callers speak to; its supervisor looks when the test says so."""
    build_demo(folder / "data")
    registry = DatabaseRegistry.scan([folder / "data"])
    checks = Checks(registry, [folder / "data"], folder / "models", folder / "runs")
    return Jobs(one.store, checks, folder / "runs", lambda: None, one.announcer.noted)


def test_every_state_of_a_job_arrives_signed_and_in_order(folder: Path, receiver: Any) -> None:
    to = receiver(200)

    async def main() -> tuple[Job, Running]:
        async with running(folder, to) as one:
            acts, jobs = launcher("train", "until_told", "succeed"), intake(folder, one)
            supervisor = supervisor_over(one.store, folder, acts, observe=one.announcer.noted)
            job = await jobs.create(new_job(folder, metadata={"team": "bi"}).spec)
            await until_status(one.store, job.id, "running", ticking=supervisor)
            await jobs.pause(job.id)
            await until_status(one.store, job.id, "paused", ticking=supervisor)
            await jobs.resume(job.id)
            await until_status(one.store, job.id, "running", ticking=supervisor)
            (job.run_dir / "go").touch()
            done = await until_status(one.store, job.id, "succeeded", ticking=supervisor)
            await one.until_delivered()
            return done, one

    job, one = asyncio.run(main())
    first = ("0-validating", "0-queued", "0-starting", "0-running", "0-paused")
    states = (*first, "1-queued", "1-starting", "1-running", "1-succeeded")
    assert to.told() == [(f"{job.id}-{s}", f"train_job.{s[2:]}") for s in states]
    headers, body, _ = to.got[-1]
    content = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body]
    )
    expected = base64.b64encode(hmac.digest(KEYS[0], content, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    data = json.loads(body)["data"]
    assert data | {"id": job.id, "progress": 1.0, "metadata": {"team": "bi"}} == data
    assert (one.over, one.counts) == (["succeeded"], ["delivered"] * 9)


def test_a_failing_receiver_gets_the_same_message_again_until_it_takes_it(
    folder: Path, receiver: Any
) -> None:
    to = receiver(500, 302, 429, 200)

    async def main() -> list[str]:
        async with running(folder, to) as one:
            await one.announcer.noted((await started(one.store, folder)).id)
            await one.until_delivered()
            return list(one.counts)

    assert asyncio.run(main()) == ["failed"] * 3 + ["delivered"]
    assert len({(h["webhook-id"], body) for h, body, _ in to.got}) == 1


def test_one_that_hangs_holds_up_neither_the_supervisor_nor_the_others(
    folder: Path, receiver: Any
) -> None:
    hanging, well = receiver(0, 200), receiver(200)
    patience = Patience(timeout_s=5, first_s=0.02, longest_s=0.1, idle_s=0.05)

    async def main() -> float:
        async with running(folder, hanging, well, patience=patience) as one:
            job = await started(one.store, folder)
            await one.announcer.noted(job.id)

            async def got() -> int:
                return len(well.got) + len(hanging.got)

            await until(got, lambda count: count >= 2, "both were asked")
            before = time.monotonic()
            assert await one.store.update(job, "test", status="running")
            await one.announcer.noted(job.id)
            took = time.monotonic() - before
            await one.until_delivered()
            return took

    assert asyncio.run(main()) < 3
    assert len(well.told()) == 2
    assert len(set(hanging.told())) == 2


def test_what_waits_is_delivered_after_a_restart(folder: Path, receiver: Any) -> None:
    to = receiver(500)

    async def first() -> None:
        async with running(folder, to) as one:
            await one.announcer.noted((await started(one.store, folder)).id)

            async def tries() -> int:
                return len(one.counts)

            await until(tries, bool, "a try")

    async def second() -> None:
        async with running(folder, to) as one:
            await one.until_delivered()

    asyncio.run(first())
    to.statuses[:] = [200]
    asyncio.run(second())
    assert len(set(to.told())) == 1


def test_a_receiver_that_is_not_there_is_tried_again(folder: Path, receiver: Any) -> None:
    gone = receiver(200)
    gone.close()

    async def main() -> list[str]:
        async with running(folder, gone) as one:
            await one.announcer.noted((await started(one.store, folder)).id)

            async def tries() -> int:
                return len(one.counts)

            await until(tries, lambda count: count >= 3, "three tries")
            told: list[str] = one.counts[:3]
            return told

    assert asyncio.run(main()) == ["failed"] * 3


def test_a_message_that_is_too_old_is_given_up_after_a_last_try(
    folder: Path, receiver: Any
) -> None:
    to = receiver(503)

    async def main() -> list[str]:
        async with running(folder, to, patience=Patience(give_up_s=0)) as one:
            await one.announcer.noted((await started(one.store, folder)).id)
            await one.until_delivered()
            return list(one.counts)

    assert asyncio.run(main()) == ["given_up"]
    assert len(to.got) == 1


def test_a_receiver_that_says_gone_is_asked_once(folder: Path, receiver: Any) -> None:
    to = receiver(410)

    async def main() -> list[str]:
        async with running(folder, to) as one:
            await one.announcer.noted((await started(one.store, folder)).id)
            await one.until_delivered()
            return list(one.counts)

    assert asyncio.run(main()) == ["given_up"]


def test_a_state_whose_note_was_lost_is_announced_later_and_once(
    folder: Path, receiver: Any
) -> None:
    to = receiver(200)

    async def main() -> tuple[list[str], list[str]]:
        async with running(folder, to) as one:
            old = await started(one.store, folder)
            await one.store.update(old, "test", status="failed", finished_at=time.time())
            job = await started(one.store, folder)
            await one.announcer.noted(job.id)
            # The service is killed after this write, and the next one looks.
            await one.store.update(job, "test", status="failed", finished_at=time.time())
            for _ in range(3):
                await one.reminder.look()
            await one.announcer.noted(job.id)
            await one.until_delivered()
            return [told for _, told in to.told()], one.over

    # The first job was over before anyone was told of it: it is not news.
    assert asyncio.run(main()) == (["train_job.starting", "train_job.failed"], ["failed"])


def test_two_services_deliver_each_message_once(store_url: str, receiver: Any) -> None:
    to = receiver(200)

    async def main() -> None:
        outboxes = [Outbox(store_url), Outbox(store_url)]
        receivers = Receivers((to.url,), KEYS)
        pair = [Webhooks(outbox, receivers, lambda _: None, QUICK) for outbox in outboxes]
        for one in pair:
            await one.start()
        for number in range(20):
            job = job_row(id=f"job_{number}")
            await asyncio.gather(*(one.announce(job) for one in pair))
        await until(outboxes[0].waiting, lambda count: count == 0, "an empty outbox")
        await outboxes[1].forget(time.time())
        assert await outboxes[1].known([i for i, _ in to.told()]) == set()
        for one in pair:
            await one.close()

    asyncio.run(main())
    assert len(to.told()) == len(set(to.told())) == 20


@pytest.mark.parametrize(
    ("tries", "asked_s", "chance", "expected"),
    [(1, None, 0.5, 2), (1, None, 0, 1), (3, None, 1, 12), (99, None, 0, 3600), (1, 30, 0.5, 30),
     (1, 1e9, 0.5, 3600)],
)  # fmt: skip
def test_pauses_double_within_bounds(
    tries: int, asked_s: float | None, chance: float, expected: float
) -> None:
    assert Patience().pause_s(tries, asked_s, chance) == expected
