"""Plain calls to the service's own HTTP API, used by the command line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpx

from service.client.wire import no_answer, refusal

_TIMEOUT_S = 600.0
_RETRIES = 5


class Client:
    """Synchronous calls to one service; raises ServiceError."""

    def __init__(
        self, url: str, api_key: str | None = None, *, timeout_s: float | None = _TIMEOUT_S
    ) -> None:
        """`timeout_s` is the longest silence, seconds; None waits for ever."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Retries of the transport cover refused connections only, never a request that was sent.
        transport = httpx.HTTPTransport(retries=_RETRIES)
        self._http = httpx.Client(
            base_url=url, headers=headers, timeout=timeout_s, transport=transport
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET and decode."""
        return cast(dict[str, Any], self._get(path, params))

    def get_list(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The same, where the answer is a list of objects."""
        return cast(list[dict[str, Any]], self._get(path, params))

    def post(
        self, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """POST JSON and decode; None values are left out."""
        sent = {k: v for k, v in (body or {}).items() if v is not None}
        return cast(dict[str, Any], self._call("POST", path, json=sent, headers=headers))

    def download(self, path: str, **params: Any) -> Iterator[bytes]:
        """GET what may be large, piece by piece, as it comes."""
        given = {k: v for k, v in params.items() if v is not None}
        with (
            _connection_errors(str(self._http.base_url)),
            self._http.stream("GET", path, params=given) as response,
        ):
            if not response.is_success:
                response.read()
                raise refusal(response)
            yield from response.iter_bytes()

    def _get(self, path: str, params: dict[str, Any]) -> Any:
        return self._call("GET", path, params={k: v for k, v in params.items() if v is not None})

    def _call(self, method: str, path: str, **rest: Any) -> Any:
        with _connection_errors(str(self._http.base_url)):
            response = self._http.request(method, path, **rest)
        if response.is_success:
            return response.json()
        raise refusal(response)


@contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise no_answer(error, url) from error
