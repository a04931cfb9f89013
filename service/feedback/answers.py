"""Remember answers without holding them up: a bounded queue, written in the background in batches.

What is in the queue is lost if the process is killed; an orderly stop writes it. A full queue drops
its oldest answer and counts it.
"""

import asyncio
import logging
import time
from contextlib import suppress

from service.errors import FeedbackOff, UnknownAnswer, VeriSQLError
from service.feedback.records import AnswerRecord
from service.feedback.store import FeedbackStore

QUEUE = 2000
"""Answers that wait to be written."""
_BATCH = 50  # small, so that to prepare one holds up nobody
_GATHER_S = 0.2  # so long answers gather before they are written together
_RETRY_S = 2.0
_FORGET_EVERY_S = 60.0
_FORGET_SHARE = 10  # or sooner, once a tenth of what is kept was written
_CLOSE_S = 10.0
_LOG = logging.getLogger(__name__)


class Answers:
    """Answers by request id: those that wait, then the store's."""

    def __init__(
        self, store: FeedbackStore, *, keep: int, keep_s: float, queue: int = QUEUE
    ) -> None:
        self._store = store
        self._keep = keep
        self._keep_s = keep_s
        self._queue = queue
        self._waiting: dict[str, AnswerRecord] = {}
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._writing = asyncio.Lock()
        self._new = 0  # written since old ones were dropped
        self._forget_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Answers that were never written."""

    @property
    def waiting(self) -> int:
        """Answers that are not written yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to write."""
        if self._keep:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Write what waits, for a few seconds at most, and end."""
        self._closing.set()
        self._wake.set()
        if self._task:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, _CLOSE_S)
        if self._waiting:
            _LOG.error("%d answers could not be remembered", len(self._waiting))

    def record(self, answer: AnswerRecord) -> None:
        """Remember an answer; returns at once and never fails."""
        if not self._keep:
            return
        self._waiting.pop(answer.request_id, None)  # the later one goes to the end
        if len(self._waiting) >= self._queue:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
        self._waiting[answer.request_id] = answer
        self._wake.set()

    async def get(self, request_id: str) -> AnswerRecord:
        """The remembered answer, written by now; raises UnknownAnswer, FeedbackOff."""
        if not self._keep:
            raise FeedbackOff("this service remembers no answers (VERISQL_KEEP_ANSWERS=0)")
        while request_id in self._waiting:
            await self._write()
        if answer := await self._store.answer(request_id):
            return answer
        raise UnknownAnswer(
            f"no answer of /generate is remembered as {request_id!r}: give the request_id of an "
            f"answer; the latest {self._keep} are kept, for {self._keep_s / 86_400:g} days",
            param="request_id",
        )

    async def _run(self) -> None:
        while not self._closing.is_set():
            await self._forget_if_due()
            await _set_within(self._wake, _FORGET_EVERY_S)
            await _set_within(self._closing, _GATHER_S)
            self._wake.clear()
            await self._write_all()
        await self._write_all()
        await self._forget_if_due()

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write()
        except VeriSQLError as error:
            _LOG.warning("%d answers wait to be remembered: %s", self.waiting, error)
            await _set_within(self._closing, _RETRY_S)
            self._wake.set()

    async def _write(self) -> None:
        async with self._writing:
            batch = list(self._waiting.values())[:_BATCH]
            if not batch:
                return
            await self._store.remember(batch)
            self._new += len(batch)
            for answer in batch:
                if self._waiting.get(answer.request_id) is answer:
                    del self._waiting[answer.request_id]

    async def _forget_if_due(self) -> None:
        if self._new * _FORGET_SHARE <= self._keep and time.monotonic() < self._forget_at:
            return
        self._new, self._forget_at = 0, time.monotonic() + _FORGET_EVERY_S
        try:
            await self._store.forget(before=time.time() - self._keep_s, keep=self._keep)
        except VeriSQLError as error:
            _LOG.warning("old answers could not be dropped: %s", error)


async def _set_within(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
