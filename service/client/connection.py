"""One try of a request over HTTP; every failure is a ServiceError."""

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import httpx

from service.client.options import Options
from service.client.wire import Result, decode, no_answer, refusal

_NDJSON = "application/x-ndjson"
_KEEP_S = 4.0  # less than the server keeps an idle connection, so that none is used as it closes


class Connection:
    """A bounded pool of connections to one service."""

    def __init__(self, url: str, api_key: str | None, options: Options) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._options = options
        self._http: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def post(self, path: str, body: bytes) -> Result:
        """The JSON object of a success."""
        with _as_service_errors(self._url):
            response = await self._client().post(path, content=body)
        if response.status_code != 200:
            raise refusal(response)
        return decode(response.content)

    async def lines(self, path: str, body: bytes) -> AsyncGenerator[Result, None]:
        """JSON objects, one a line, as they come; close it to end the work behind it."""
        sent = self._client().stream("POST", path, content=body, headers={"Accept": _NDJSON})
        rest = b""
        with _as_service_errors(self._url):
            async with sent as response:
                if response.status_code != 200:
                    await response.aread()
                    raise refusal(response)
                async for data in response.aiter_bytes():
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        yield decode(line)
        if rest:
            yield decode(rest)

    async def aclose(self) -> None:
        """Close all connections; may be called twice."""
        self._closed = True
        if self._http and self._loop is asyncio.get_running_loop():
            await self._http.aclose()

    def _client(self) -> httpx.AsyncClient:
        """Of this event loop: connections of one that has ended cannot be used in the next."""
        if self._closed:
            raise RuntimeError("the client is closed")
        loop = asyncio.get_running_loop()
        if self._http is None or self._loop is not loop:
            self._http, self._loop = self._open(), loop
        return self._http

    def _open(self) -> httpx.AsyncClient:
        options = self._options
        most = options.max_connections
        return httpx.AsyncClient(
            base_url=self._url,
            headers=self._headers,
            timeout=httpx.Timeout(
                options.idle_timeout_s, connect=options.connect_timeout_s, pool=None
            ),
            limits=httpx.Limits(
                max_connections=most, max_keepalive_connections=most, keepalive_expiry=_KEEP_S
            ),
            trust_env=not is_loopback(self._url),
        )


def is_loopback(url: str) -> bool:
    """True for this machine: no proxy can reach it for us."""
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _as_service_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise no_answer(error, url) from error
    except httpx.DecodingError as error:
        raise no_answer(httpx.ReadError(str(error)), url) from error
