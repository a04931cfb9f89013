"""Webhooks: every state change of a job is told to the operator's addresses, at least once.

The supervisor's note puts a message into the outbox, a table, and goes on; each address has a task
of its own that delivers what waits there, so one that hangs holds up nobody. What waits survives a
restart. A service that is killed between a state's write and its note leaves no message: states are
held against the outbox once a minute, and what is missing is added (announcing.py).
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from service.client.connection import is_loopback
from service.errors import VeriSQLError
from service.jobs.job import Job
from service.jobs.message import message_of
from service.jobs.outbox import Delivery, Outbox
from service.jobs.receivers import Receivers
from service.jobs.signature import signed_headers

_CLOSE_S = 2.0
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often. All in seconds."""

    timeout_s: float = 10.0
    """For one try, from connecting to the status."""
    first_s: float = 2.0
    """Before the second try; it doubles from there, give or take a half."""
    longest_s: float = 3600.0
    """Between two tries; also for what a receiver asks for with Retry-After."""
    give_up_s: float = 86_400.0
    """From the state change; the first try after that is the last."""
    idle_s: float = 2.0
    """Between two looks at the outbox."""

    def pause_s(self, tries: int, asked_s: float | None, chance: float) -> float:
        """After so many tries; `chance` is 0..1."""
        doubled = self.first_s * 2.0 ** min(tries - 1, 40) * (0.5 + chance)
        return min(self.longest_s, max(doubled, asked_s or 0.0))


@dataclass(frozen=True, slots=True)
class Reply:
    """How one try ended; `status` is None where nothing came back."""

    status: int | None
    problem: str | None = None
    asked_s: float | None = None
    """Retry-After."""

    @property
    def well(self) -> bool:
        """The receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class Webhooks:
    """Delivers to each receiver; `count` is told how each try ended."""

    def __init__(
        self,
        outbox: Outbox,
        receivers: Receivers,
        count: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        self._outbox = outbox
        self._urls, self._keys = receivers.urls, receivers.keys
        self._count = count
        self._patience = patience or Patience()
        self._wake = {url: asyncio.Event() for url in self._urls}
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Open the outbox, deliver what it has and what comes."""
        await self._outbox.open()
        self._tasks = [asyncio.create_task(self._serve(url)) for url in self._urls]

    async def close(self) -> None:
        """End within seconds; what waits is delivered after the next start."""
        self._closing = True
        self._look_now()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._outbox.close()

    async def announce(self, job: Job) -> None:
        """Queue what the job's state says, once; raises NoDiskSpace, Unavailable."""
        await self._outbox.add(message_of(job, time.time()), self._urls)
        self._look_now()

    def _look_now(self) -> None:
        for event in self._wake.values():
            event.set()

    async def _serve(self, url: str) -> None:
        timeout_s = self._patience.timeout_s
        async with httpx.AsyncClient(timeout=timeout_s, trust_env=not is_loopback(url)) as http:
            while not self._closing:
                self._wake[url].clear()
                try:
                    while not self._closing and await self._deliver_next(http, url):
                        pass
                except VeriSQLError as error:
                    _LOG.warning("webhooks wait: %s", error)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience.idle_s):
                        await self._wake[url].wait()

    async def _deliver_next(self, http: httpx.AsyncClient, url: str) -> bool:
        lease_s = self._patience.timeout_s * 2
        delivery = await self._outbox.claim(url, lease_s=lease_s)
        if delivery is not None:
            await self._conclude(delivery, await self._post(http, delivery))
        return delivery is not None

    async def _post(self, http: httpx.AsyncClient, delivery: Delivery) -> Reply:
        body = delivery.body.encode()
        headers = signed_headers(self._keys, delivery.message_id, int(time.time()), body)
        headers |= {"content-type": "application/json", "user-agent": "VeriSQL"}
        try:
            async with (
                asyncio.timeout(self._patience.timeout_s),
                http.stream("POST", delivery.url, content=body, headers=headers) as response,
            ):  # what a receiver writes beside its status is not read
                return _reply(response)
        except TimeoutError:
            return Reply(None, f"no answer within {self._patience.timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Reply(None, f"{type(error).__name__}: {error}")

    async def _conclude(self, delivery: Delivery, reply: Reply) -> None:
        told = f"{delivery.message_id} to {_shown(delivery.url)}: {reply.problem}"
        overdue = time.time() > delivery.created_at + self._patience.give_up_s
        if reply.well:
            self._count("delivered")
            await self._outbox.settle(delivery, "delivered")
        elif reply.status == 410 or overdue:
            self._count("given_up")
            _LOG.error("webhook %s; given up after %d tries", told, delivery.tries)
            await self._outbox.settle(delivery, "given_up", reply.problem)
        else:
            self._count("failed")
            chance = random.random()  # noqa: S311 - no secret
            pause_s = self._patience.pause_s(delivery.tries, reply.asked_s, chance)
            _LOG.warning("webhook %s; again in %.1f s", told, pause_s)
            await self._outbox.retry(delivery, pause_s, reply.problem or "")


def _reply(response: httpx.Response) -> Reply:
    status = response.status_code
    asked_s = _seconds(response.headers.get("retry-after", ""))
    return Reply(status, None if response.is_success else f"status {status}", asked_s)


def _seconds(text: str) -> float | None:
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _shown(url: str) -> str:
    """Scheme and host: paths and queries of webhooks often hold a secret."""
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"
