"""Ray's Jobs API (/api/jobs/), four calls of it, with Ray's failures in our words."""

import json
import time
from typing import Any, NamedTuple

import httpx

from service.errors import Unavailable, VeriSQLError

RETRY_S = 5.0
_REFUSED_RETRY_S = 30.0
_MOST_BYTES = 4 * 2**20
_LONGEST_REASON = 300
_NOT_FOUND, _REFUSED = 404, (401, 403)


class _Answer(NamedTuple):
    status: int
    text: str


class RayJobs:
    """One cluster's jobs.

    `timeout_s` bounds each call; after one that ran into it, calls fail at once for RETRY_S, so
    that a silent cluster with many jobs does not hold up the others. All calls raise Unavailable
    while Ray does not answer, fails or refuses the token, and VeriSQLError for what it will never
    accept.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 5.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_s,
            transport=transport,
            trust_env=transport is None,
        )
        self._silent_until = 0.0

    async def find(self, submission_id: str) -> dict[str, Any] | None:
        """Ray's JobDetails, or None if it knows no such submission."""
        answer = await self._ask("GET", f"/api/jobs/{submission_id}")
        return None if answer.status == _NOT_FOUND else self._fields(answer)

    async def submit(self, body: dict[str, Any]) -> None:
        """Ray's JobSubmitRequest; one whose submission_id it knows already is Unavailable too."""
        answer = await self._ask("POST", "/api/jobs/", body)
        if answer.status == _NOT_FOUND:
            raise self._not_ray()

    async def stop(self, submission_id: str) -> None:
        """Ask the entrypoint to end; nothing if it is gone or unknown."""
        await self._ask("POST", f"/api/jobs/{submission_id}/stop")

    async def logs(self, submission_id: str) -> str:
        """All that the entrypoint printed; empty if unknown."""
        answer = await self._ask("GET", f"/api/jobs/{submission_id}/logs")
        return "" if answer.status == _NOT_FOUND else str(self._fields(answer).get("logs") or "")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> _Answer:
        if time.monotonic() < self._silent_until:
            raise self._unavailable("did not answer in time")
        try:
            async with self._http.stream(method, path, json=body) as response:
                answer = _Answer(response.status_code, await self._read(response))
        except httpx.TimeoutException as error:
            self._silent_until = time.monotonic() + RETRY_S
            raise self._unavailable("did not answer in time") from error
        except httpx.HTTPError as error:
            raise self._unavailable(
                f"cannot be reached: {error or type(error).__name__}"
            ) from error
        self._check(answer)
        return answer

    async def _read(self, response: httpx.Response) -> str:
        read = b""
        async for chunk in response.aiter_bytes():
            read += chunk
            if len(read) > _MOST_BYTES:
                raise VeriSQLError(f"Ray at {self.url} answers with over {_MOST_BYTES} bytes")
        return read.decode(errors="replace")

    def _check(self, answer: _Answer) -> None:
        status = answer.status
        if status in (200, _NOT_FOUND):
            return
        if status in _REFUSED:
            raise self._unavailable(
                f"refuses the token (HTTP {status}): VERISQL_RAY_TOKEN must be the cluster's",
                retry_after_s=_REFUSED_RETRY_S,
            )
        # Of a traceback the last line says what was wrong.
        reason = (answer.text.strip().splitlines() or [""])[-1][:_LONGEST_REASON]
        if status < 500:
            raise VeriSQLError(f"Ray at {self.url} does not accept the run: {reason}")
        raise self._unavailable(f"failed (HTTP {status}): {reason}")

    def _fields(self, answer: _Answer) -> dict[str, Any]:
        try:
            fields = json.loads(answer.text)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise self._not_ray()
        return fields

    def _not_ray(self) -> Unavailable:
        return self._unavailable(
            "does not answer as Ray's Jobs API does: VERISQL_RAY_URL must be the address of the "
            "cluster's dashboard, e.g. http://ray-head:8265"
        )

    def _unavailable(self, what: str, *, retry_after_s: float = RETRY_S) -> Unavailable:
        return Unavailable(f"Ray at {self.url} {what}", retry_after_s=retry_after_s)
