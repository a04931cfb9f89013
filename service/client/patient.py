"""Any call to the service's own HTTP API, sent until it is answered."""

import asyncio
from collections.abc import Mapping
from typing import Any

from service.client.connection import Connection
from service.client.errors import ServiceError
from service.client.options import Options
from service.client.patience import Patience, out_of_time
from service.client.wire import Result, encode


class PatientClient:
    """Tries again as docs/client.md says; a call that is cancelled closes its connection."""

    def __init__(
        self, url: str, api_key: str | None = None, options: Options | None = None
    ) -> None:
        self._options = options or Options()
        self._connection = Connection(url, api_key, self._options)

    async def __aenter__(self) -> "PatientClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.aclose()

    async def post(self, path: str, body: Mapping[str, Any]) -> Result:
        """The JSON object of a success; raises ServiceError.

        A busy service, or one whose model is starting, is asked until the deadline of the options.
        """
        data = encode(body)
        until = asyncio.get_running_loop().time() + self._options.deadline_s
        try:
            async with asyncio.timeout_at(until):
                return await self._answer(path, data, Patience(self._options, until))
        except TimeoutError:
            raise out_of_time(self._options.deadline_s) from None

    async def _answer(self, path: str, data: bytes, patience: Patience) -> Result:
        while True:
            try:
                return await self._connection.post(path, data)
            except ServiceError as error:
                pause_s = patience.pause_s(error, asyncio.get_running_loop().time())
            await asyncio.sleep(pause_s)
