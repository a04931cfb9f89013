"""A service double whose answers are told to it, and outcomes to count."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.text2sql.evaluation import Outcome
from service.text2sql.questions import Question

Body = dict[str, Any]
MODEL = {"name": "double", "revision": "r1", "adapter": None}


class ServiceDouble:
    """/generate says what it is told to say, in full; all else is the real app.

    sqls     the candidates' SQL for a request's body; the first is chosen unless `chosen` says so
    refuse   (status, code, message) for a request to a path, or None; `param` goes with it
    more     fields of the answer
    hold     questions that are never answered until `go` is set
    asked    bodies of /generate
    """

    def __init__(self, app: TestClient) -> None:
        self.app = app
        self.sqls: Callable[[Body], Sequence[str | None]] = lambda body: ["SELECT 1"]
        self.refuse: Callable[[str, Body], tuple[int, str, str] | None] = lambda path, body: None
        self.param: str | None = None
        self.more: dict[str, Any] = {}
        self.model: dict[str, Any] = dict(MODEL)
        self.hold: set[str] = set()
        self.go = threading.Event()
        self.asked: list[Body] = []
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "ServiceDouble":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.go.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, body: Body, accept: str) -> tuple[int, bytes]:
        if refused := self.refuse(path, body):
            status, code, message = refused
            detail = {"code": code, "message": message, "param": self.param, "request_id": "r"}
            return status, json.dumps({"error": detail}).encode()
        if path != "/generate":
            answer = self.app.post(path, json=body, headers={"Accept": accept})
            return answer.status_code, answer.content
        self.asked.append(body)
        if body["question"] in self.hold:
            self.go.wait(60)
        return 200, json.dumps(self._generated(body)).encode()

    def _generated(self, body: Body) -> Body:
        sqls = list(self.sqls(body))
        messages = [{"role": "user", "content": body["question"]}]
        return {
            "status": "ok" if sqls[0] else "no_sql",
            "sql": sqls[0],
            "candidates": [
                {"sql": sql, "valid": sql is not None, "error": None, "mean_logprob": -0.5,
                 "votes": sqls.count(sql) if sql else 0, "repaired": False}
                for sql in sqls
            ],
            "model": self.model,
            "template": body.get("template", "ddl-v1"),
            "prompt_sha256": f"hash of {body['question']}",
            "usage": {"prompt_tokens": 10, "completion_tokens": 2 * len(sqls)},
            "latency_ms": 12.5,
            "request_id": "r",
            "debug": {"messages": messages, "completions": [f"```sql\n{s}\n```" for s in sqls]}
            if body.get("debug") else None,
            **self.more,
        }  # fmt: skip


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that are killed in the middle of an answer are part of the tests."""


def _handler(double: ServiceDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = double.app.get(self.path)
            self._send(answer.status_code, answer.content)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(*double.answer(self.path, body, self.headers.get("Accept", "")))

        def _send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "3600")  # later than any deadline: nobody waits
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def service_double(client: TestClient) -> Iterator[ServiceDouble]:
    """Answers `SELECT 1` until told otherwise; knows the database `shop`."""
    with ServiceDouble(client) as double:
        yield double


def outcome(
    place: int = 0,
    value: float | None = 1.0,
    *,
    difficulty: str = "simple",
    db_id: str = "shop",
    masked: bool = False,
    **rest: Any,
) -> Outcome:
    """One question's, right by `bird_ex` if `value` is 1, without any metric if it is None."""
    asked = Question(str(place), db_id, f"question {place}", "SELECT 1", difficulty=difficulty)
    status = "gold_error" if masked else "match" if value == 1.0 else "mismatch"
    metrics = {} if value is None else {"bird_ex": value}
    told = {"sql": "SELECT 1", "status": status, "metrics": metrics, "masked": masked}
    return Outcome(place=place, question=asked, **(told | rest))
