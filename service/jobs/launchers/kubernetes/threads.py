"""Blocking work beside the event loop, never waited for beyond a limit."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], limit_s: float) -> T:
    """What `work` returns or raises; TimeoutError after `limit_s` seconds.

    The thread is a daemon: unlike a pool's it cannot hold up the end of the service.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def act() -> None:
        try:
            settle: Callable[[], None] = partial(done.set_result, work())
        except BaseException as error:  # noqa: BLE001 - it travels to the one who awaits.
            settle = partial(done.set_exception, error)
        with suppress(RuntimeError):  # The loop may be closed by now.
            loop.call_soon_threadsafe(_unless_done, done, settle)

    threading.Thread(target=act, daemon=True, name="kubernetes").start()
    return await asyncio.wait_for(done, limit_s)


def _unless_done(done: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not done.done():
        settle()
