"""Work that nobody waits for any more is stopped: the web framework lets a handler run on."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from service.errors import Unavailable

T = TypeVar("T")


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled once the caller has closed the connection.

    The request's body must have been read. Raises what `work` raises, Unavailable where the server
    cancels us since it stops, and ClientDisconnect, which errors.py turns into an answer that
    nobody gets.
    """
    working = asyncio.create_task(work)
    watching = asyncio.create_task(hung_up(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    except asyncio.CancelledError:
        # Only a stopping server cancels a request; its caller is still there to be told.
        raise Unavailable("the service is stopping", retry_after_s=5) from None
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def hung_up(request: Request) -> None:
    """Returns once the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
