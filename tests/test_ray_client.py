"""Ray's Jobs API behind an address that answers wrongly, slowly or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from service.errors import Unavailable
from service.jobs.launchers.ray.client import RayJobs


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[RayJobs]:
    """A client of a server that gives this answer to everything; None: it keeps silent."""

    served = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    jobs = RayJobs(f"http://127.0.0.1:{port}/", timeout_s=0.5)
    try:
        yield jobs
    finally:
        await jobs.close()
        server.close()
        for writer in served:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("200 OK", b"<html>a login page</html>"), "VERISQL_RAY_URL"),
        (http("200 OK", b"[]"), "VERISQL_RAY_URL"),
        (http("502 Bad Gateway", b"<html>\nno upstream"), "HTTP 502.: no upstream"),
        (http("500 Oops", b""), "HTTP 500"),
        (b"SSH-2.0-OpenSSH\r\n", "cannot be reached"),
    ],
)
def test_what_is_not_ray_is_unavailable_and_said(answer: bytes, said: str) -> None:
    async def main() -> None:
        async with answering(answer) as jobs:
            await jobs.find("verisql-job-1-0")

    with pytest.raises(Unavailable, match=said) as failed:
        asyncio.run(main())
    assert failed.value.retry_after_s


def test_a_submission_to_something_else_is_not_taken_for_done() -> None:
    async def main() -> None:
        async with answering(http("404 Not Found", b"nginx")) as jobs:
            await jobs.submit({})

    with pytest.raises(Unavailable, match="VERISQL_RAY_URL"):
        asyncio.run(main())


def test_a_silent_cluster_is_waited_for_once_and_not_by_every_job() -> None:
    async def main() -> float:
        async with answering(None) as jobs:
            with pytest.raises(Unavailable, match="in time"):
                await jobs.find("first")
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(Unavailable, match="in time"):
                    await jobs.stop("other")
            return time.monotonic() - began

    assert asyncio.run(main()) < 0.4


def test_nothing_listens_there() -> None:
    async def main() -> None:
        jobs = RayJobs("http://127.0.0.1:9")
        try:
            await jobs.logs("verisql-job-1-0")
        finally:
            await jobs.close()

    with pytest.raises(Unavailable, match=r"Ray at http://127.0.0.1:9 cannot be reached"):
        asyncio.run(main())
