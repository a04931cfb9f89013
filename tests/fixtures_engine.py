"""Model servers for tests: a double with faults to order, and a real vLLM with the 135M model."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import psutil
import pytest

from service.engine.base import EngineStatus
from service.engine.make import make_engine
from service.engine.server import LocalEngine
from service.models.registry import ServedModel, resolve_model
from service.settings import load_settings

SMALL_MODEL = "smollm2-135m-instruct"


class EngineDouble:
    """An OpenAI-compatible server on loopback that says what it is told to say.

    text       the completion's text; or a function from the request's body to the text
    fault      (status, body) to answer instead, for completions and the list of models
    fault_for  the same as a function of a completion's body; None is no fault
    hang       never answer completions; `gone` is set once the caller has closed the connection
    requests   bodies of the completions asked for
    """

    def __init__(
        self, text: str | Callable[[dict[str, Any]], str] = "SELECT 1", port: int = 0
    ) -> None:
        self.text = text
        self.fault: tuple[int, str] | None = None
        self.fault_for: Callable[[dict[str, Any]], tuple[int, str] | None] = lambda body: None
        self.hang = False
        self.finish_reason = "stop"
        self.models = ["double"]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = threading.Event()
        self.gone = threading.Event()
        self._http = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Its address, with /v1."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> "EngineDouble":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion as OpenAI writes it."""
        text = self.text if isinstance(self.text, str) else self.text(body)
        choice = {"message": {"content": text}, "finish_reason": self.finish_reason}
        return {
            "choices": [choice],
            "usage": {"prompt_tokens": 7, "completion_tokens": len(text.split())},
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that go away in the middle of an answer are part of the tests."""


def _handler(double: EngineDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/health":
                self._send(200, "")
            elif double.fault:
                self._send(*double.fault)
            else:
                self._send(200, json.dumps({"data": [{"id": name} for name in double.models]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            double.requests.append(body)
            double.headers.append({k.lower(): v for k, v in self.headers.items()})
            double.asked.set()
            if double.hang:
                self._hang()
            elif fault := double.fault or double.fault_for(body):
                self._send(*fault)
            else:
                self._send(200, json.dumps(double.answer(body)))

        def _hang(self) -> None:
            self.connection.settimeout(30)
            if self.connection.recv(1) == b"":
                double.gone.set()
            self.close_connection = True

        def _send(self, status: int, body: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def engine_double() -> Iterator[EngineDouble]:
    """A double that answers `SELECT 1` until told otherwise."""
    with EngineDouble() as double:
        yield double


@pytest.fixture(scope="session")
def small_model() -> ServedModel:
    """The 135M model, fetched and converted on first use into the usual cache."""
    return resolve_model(SMALL_MODEL, load_settings().models_path, lambda line: None)


async def until(engine: LocalEngine, status: EngineStatus, timeout_s: float = 600) -> None:
    """Wait for a state; fails with the engine's own words."""
    try:
        async with asyncio.timeout(timeout_s):
            while engine.state.status != status:
                assert engine.state.status != "failed", engine.state.detail
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"not {status} within {timeout_s:g} s: {engine.state}")


def family(engine: LocalEngine) -> list[psutil.Process]:
    """The keeper of a running engine and all that it has started."""
    assert engine.pid
    keeper = psutil.Process(engine.pid)
    return [keeper, *keeper.children(recursive=True)]


def eventually_gone(pids: list[int], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while any(_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="session")
def real_engine(
    small_model: ServedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[asyncio.Runner, LocalEngine]]:
    """One real vLLM for all tests, ready; ask it things on its runner's loop."""
    home = tmp_path_factory.mktemp("engine")
    settings = load_settings(home=home, engine="local", max_model_len=2048, engine_kv_cache_gb=0.5)
    with asyncio.Runner() as runner:
        engine = make_engine(settings, small_model, lambda line: None)
        assert isinstance(engine, LocalEngine)
        runner.run(engine.start())
        try:
            runner.run(until(engine, "ready"))
            yield runner, engine
            left = [process.pid for process in family(engine)]
        finally:
            runner.run(engine.close())
    assert eventually_gone(left)
