"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Start = Future[tuple[asyncio.AbstractEventLoop, Callable[[], None]]]


class Running(Generic[T]):
    """A coroutine under way on another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._ended = threading.Event()
        loop.call_soon_threadsafe(self._begin, coroutine)

    def result(self) -> T:
        """Wait for its end; it is cancelled if the waiting is interrupted (Ctrl-C).

        Raises RuntimeError where the client was closed meanwhile.
        """
        try:
            self._ended.wait()
        except BaseException:
            self.cancel()
            raise
        if self._task.cancelled():
            raise RuntimeError("the client was closed before the answer came")
        return self._task.result()

    def cancel(self) -> None:
        """End it, and wait until it has let go of what it held; nothing where it has ended."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(lambda: self._task.cancel())
            self._ended.wait()

    def _begin(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(lambda _: self._ended.set())


class Background:
    """Starts its thread when it is first needed, and anew in a forked child, which has no threads.

    Its methods may be called by several threads at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._closed = False

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Running[T]:
        """Begin it, and go on; raises RuntimeError once closed."""
        with self._lock:
            if self._closed:
                coroutine.close()
                raise RuntimeError("the client is closed")
            if not self._alive():
                self._begin()
            return Running(self._loop, coroutine)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result."""
        return self.start(coroutine).result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last` if anything was ever run, cancel what is under way, end the thread."""
        if self._alive() and not self._closed:
            self.run(last())
        with self._lock:
            self._closed = True
        if self._thread and self._alive():
            self._loop.call_soon_threadsafe(self._stop)
            self._thread.join()

    def _alive(self) -> bool:
        thread = self._thread
        return thread is not None and thread.is_alive() and self._pid == os.getpid()

    def _begin(self) -> None:
        start: Start = Future()
        self._thread = threading.Thread(
            target=_serve, args=(start,), name="verisql-client", daemon=True
        )
        self._pid = os.getpid()
        self._thread.start()
        self._loop, self._stop = start.result()


def _serve(start: Start) -> None:
    async def until_stopped() -> None:
        stop = asyncio.Event()
        start.set_result((asyncio.get_running_loop(), stop.set))
        await stop.wait()

    asyncio.run(until_stopped())  # at its end it cancels all that is under way
