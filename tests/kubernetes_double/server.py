"""The double's HTTP: paths, verbs, rights, faults on demand."""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.kubernetes_double.cluster import Cluster, Thing
from tests.kubernetes_double.kubelet import ProcessKubelet
from tests.kubernetes_double.refusals import Refused, bad_request, forbidden, not_found

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>batch)/v1)/namespaces/(?P<namespace>[^/]+)/"
    r"(?P<resource>jobs|pods|services)(?:/(?P<name>[^/]+))?(?P<log>/log)?"
)
_KINDS = {"jobs": ("batch/v1", "Job"), "services": ("v1", "Service")}
Right = tuple[str, str, str]
"""API group, resource, verb."""


@dataclass
class ApiServer:
    """What a test holds: the cluster, what was asked of it, how it should misbehave."""

    cluster: Cluster
    url: str
    token: str = "let-me-in"
    rights: set[Right] | None = None
    """None allows everything."""
    asked: list[Right] = field(default_factory=list)
    faults: list[Refused | bytes | str | float] = field(default_factory=list)
    """For the next requests, in order: an error, `down` (no answer), another's answer, seconds."""

    def kubeconfig(self, path: Path, *, url: str | None = None, token: str | None = None) -> Path:
        """Write a kubeconfig that leads here."""
        cluster = {"server": url or self.url}
        user = {"token": token or self.token}
        named = {"cluster": "double", "user": "double", "namespace": self.cluster.namespace}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "double",
            "clusters": [{"name": "double", "cluster": cluster}],
            "users": [{"name": "double", "user": user}],
            "contexts": [{"name": "double", "context": named}],
        }
        path.write_text(yaml.safe_dump(content))
        return path


@contextmanager
def serving(folder: Path | None = None) -> Iterator[ApiServer]:
    """A server on a free port of loopback; with a folder its pods are processes."""
    cluster = Cluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    api = ApiServer(cluster, f"http://127.0.0.1:{server.server_port}")
    server.api = api  # type: ignore[attr-defined]
    kubelet = ProcessKubelet(cluster, folder) if folder else None
    cluster.kubelet = kubelet
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        if kubelet:
            kubelet.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._handle("get")

    def do_POST(self) -> None:
        self._handle("create")

    def do_DELETE(self) -> None:
        self._handle("delete")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: pytest's output is for pytest."""

    def _handle(self, verb: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if not self._misbehave():
                return
            code, answer = self._answer(verb, json.loads(body) if body else {})
        except Refused as refused:
            return self._send(refused.code, refused.status, refused.headers)
        self._send(code, answer)

    def _misbehave(self) -> bool:
        fault = self._api.faults.pop(0) if self._api.faults else 0
        if isinstance(fault, Refused):
            raise fault
        if isinstance(fault, bytes):
            self._send(200, fault)
            return False
        if fault == "down":
            self.close_connection = True
            return False
        time.sleep(float(fault))
        return True

    def _answer(self, verb: str, body: Thing) -> tuple[int, Thing | bytes]:
        if self.headers.get("Authorization") != f"Bearer {self._api.token}":
            raise Refused(401, "Unauthorized", "Unauthorized")
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        at = _PATH.fullmatch(url.path)
        if at is None:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        resource, name = at["resource"], at["name"]
        self._allow(verb, at)
        with self._cluster.lock:
            if at["log"]:
                return 200, self._log(name, query)
            if verb == "create":
                return 201, self._cluster.create(resource, _fitting(body, at))
            if verb == "get":
                return 200, self._get(resource, name, query)
            if name:
                return 200, self._cluster.delete(resource, name, _options(body))
            for thing in self._cluster.select(resource, query.get("labelSelector", "")):
                self._cluster.delete(resource, thing["metadata"]["name"], _options(body))
            return 200, {"kind": "PodList", "apiVersion": "v1", "items": []}

    def _allow(self, verb: str, at: re.Match[str]) -> None:
        if not at["name"] and verb != "create":
            verb = {"get": "list", "delete": "deletecollection"}[verb]
        resource = at["resource"] + ("/log" if at["log"] else "")
        right = (at["group"] or "", resource, verb)
        self._api.asked.append(right)
        if self._api.rights is not None and right not in self._api.rights:
            raise forbidden(resource, verb, right[0], at["namespace"])
        if at["namespace"] != self._cluster.namespace:
            if verb == "create":
                raise not_found("namespaces", at["namespace"])
            raise not_found(resource, at["name"] or "")

    def _get(self, resource: str, name: str | None, query: Mapping[str, str]) -> Thing:
        if name:
            return self._cluster.get(resource, name)
        items = self._cluster.select(resource, query.get("labelSelector", ""))
        return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _log(self, name: str, query: Mapping[str, str]) -> bytes:
        pod = self._cluster.get("pods", name)
        if pod["status"]["phase"] == "Pending":
            raise bad_request(f'container "trainer" in pod "{name}" is waiting to start')
        kubelet = self._cluster.kubelet
        written = self._cluster.logs.get(name, b"")
        text = kubelet.log(name) if isinstance(kubelet, ProcessKubelet) else written
        lines = text.splitlines(keepends=True)[-int(query["tailLines"]) :]
        return b"".join(lines)[: int(query["limitBytes"])]

    def _send(
        self, code: int, answer: Thing | bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = "text/plain" if isinstance(answer, bytes) else "application/json"
        self.send_response(code)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @property
    def _api(self) -> ApiServer:
        api: ApiServer = self.server.api  # type: ignore[attr-defined]
        return api

    @property
    def _cluster(self) -> Cluster:
        return self._api.cluster


def _fitting(body: Thing, at: re.Match[str]) -> Thing:
    wanted = _KINDS[at["resource"]]
    if (body.get("apiVersion"), body.get("kind")) != wanted:
        raise bad_request(f"the object is not a {' '.join(wanted)}")
    namespace = body["metadata"].setdefault("namespace", at["namespace"])
    if namespace != at["namespace"]:
        raise bad_request(f"the namespace of the object ({namespace}) does not match the request")
    return body


def _options(body: Thing) -> Thing:
    if body and body.get("kind") != "DeleteOptions":
        raise bad_request("the body of a delete is DeleteOptions")
    return body
