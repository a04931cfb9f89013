"""Talk with the API server: one bounded request at a time, its refusals in our words.

The official client brings authentication, TLS and the ways a kubeconfig names them; objects stay
plain JSON. It blocks, so calls run in threads, and its own repeating of requests is off: who asks
again, and when, is for the supervisor to say.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from service.errors import LauncherRefused, Unavailable, VeriSQLError
from service.jobs.launchers.kubernetes.options import KubernetesOptions
from service.jobs.launchers.kubernetes.threads import in_thread

T = TypeVar("T")

_CONNECT_S = 60.0
"""Loading the client's library takes seconds, a program that a kubeconfig names may take more."""
_AGAIN_S = 5.0
_LONGEST_WAIT_S = 300.0
_RIGHTS = "deploy/kubernetes/rights.yaml grants what is needed"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request that was not refused has brought."""

    status: int
    body: bytes

    @property
    def object(self) -> dict[str, Any]:
        """The object of the body."""
        try:
            found: dict[str, Any] = json.loads(self.body)
        except ValueError as error:
            said = self.body[:200].decode(errors="replace")
            raise _unreachable(f"what answers speaks no JSON: {said}") from error
        return found


class KubernetesClient:
    """Requests to the API server of `options`; connects at the first one."""

    def __init__(self, options: KubernetesOptions) -> None:
        self._options = options
        self._connecting = threading.Lock()
        self._api: Any = None

    async def run(self, work: Callable[[], T]) -> T:
        """Blocking `work` in a thread; raises Unavailable after VERISQL_KUBERNETES_TIMEOUT_S."""
        try:
            await in_thread(self._connected, _CONNECT_S)
            return await in_thread(work, self._options.timeout_s)
        except TimeoutError as error:
            raise _unreachable("no answer in time") from error

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        allow: tuple[int, ...] = (),
    ) -> Answer:
        """One request; statuses in `allow` are answers, too.

        Raises Unavailable where asking again may help, LauncherRefused where it will not.
        """
        status, headers, answer = self._exchange(method, path, query or {}, body)
        if status < 300 or status in allow:
            return Answer(status, answer)
        if status == 401:
            self._forget()
        raise _refusal(f"{method} {path}", status, headers, answer)

    def _exchange(
        self, method: str, path: str, query: Mapping[str, Any], body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        import urllib3
        from kubernetes.client.exceptions import ApiException
        from kubernetes.config import ConfigException

        api = self._connected()
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            serialized = api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = api.call_api(*serialized, _request_timeout=self._options.timeout_s)
            return response.status, response.headers, response.read()
        except (urllib3.exceptions.HTTPError, ApiException, ConfigException, OSError) as error:
            raise _unreachable(str(error) or type(error).__name__) from error

    def _connected(self) -> Any:
        with self._alone():
            if self._api is None:
                self._api = _connect(self._options)
            return self._api

    def _forget(self) -> None:
        """The credentials may be renewed by now: read them again at the next request."""
        with self._alone():
            self._api = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._connecting.acquire(timeout=_CONNECT_S):
            raise _unreachable("its credentials are still being read")
        try:
            yield
        finally:
            self._connecting.release()


def _unreachable(why: str) -> Unavailable:
    message = f"the Kubernetes API server cannot be reached: {why}"
    return Unavailable(message, retry_after_s=_AGAIN_S)


def _connect(options: KubernetesOptions) -> Any:
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise LauncherRefused(
            "this installation cannot speak to Kubernetes: pip install '.[kubernetes]'"
        ) from error
    load: Any = config  # Its functions have no types.
    settings = client.Configuration()
    settings.retries = False
    try:
        if options.config is None and options.context is None and _is_in_cluster():
            load.load_incluster_config(client_configuration=settings)
        else:
            path = str(options.config.expanduser()) if options.config else None
            load.load_kube_config(path, options.context, settings, persist_config=False)
    except (config.ConfigException, OSError) as error:
        raise LauncherRefused(
            f"no way to a cluster: {error}; set VERISQL_KUBERNETES_CONFIG to a kubeconfig, "
            "or run the service in the cluster with an account"
        ) from error
    return client.ApiClient(settings)


def _is_in_cluster() -> bool:
    from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

    return Path(SERVICE_TOKEN_FILENAME).exists()


def _refusal(asked: str, status: int, headers: Mapping[str, str], answer: bytes) -> VeriSQLError:
    said = _message(answer)
    told = f"the Kubernetes API server answered {status} to {asked}: {said}"
    passing = status in (401, 408, 409, 410, 429) or status >= 500
    # A full quota frees itself, though it is told like a missing right.
    if passing or "exceeded quota" in said:
        return Unavailable(told, retry_after_s=_pause(headers))
    if status == 403:
        return LauncherRefused(f"VeriSQL lacks a right in the cluster: {said} ({_RIGHTS})")
    return LauncherRefused(told)


def _message(answer: bytes) -> str:
    try:
        found = json.loads(answer)
    except ValueError:
        found = None
    said = found.get("message") if isinstance(found, dict) else None
    return str(said or answer[:200].decode(errors="replace") or "nothing")


def _pause(headers: Mapping[str, str]) -> float:
    said = headers.get("Retry-After", "")
    return min(float(said), _LONGEST_WAIT_S) if said.isdigit() else _AGAIN_S
