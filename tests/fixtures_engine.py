"""Model servers for tests: a double with faults to order, and a real vLLM with the 135M model."""

import asyncio
import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from service.engine.base import EngineStatus
from service.engine.make import make_engine
from service.engine.server import LocalEngine
from service.models.registry import ServedModel, resolve_model
from service.settings import load_settings


def same_text_or_skip(one: object, other: object) -> None:
    """Two answers to one question are equal; skips, with the reason, where this is not promised."""
    if one != other and "amx_bf16" in Path("/proc/cpuinfo").read_text():
        pytest.skip(
            "a CPU with AMX: bf16 sums depend on what is computed together (docs/engine.md)"
        )
    assert one == other


SMALL_MODEL = "smollm2-135m-instruct"
RealEngine = tuple[asyncio.Runner, LocalEngine]


Text = str | Sequence[str] | Callable[[dict[str, Any], int], str]


PROMPT_TOKENS = 7
"""Of every prompt, as the double counts."""


class EngineDouble:
    """An OpenAI-compatible server on loopback that says what it is told to say.

    text          the completion's text; or one for each choice, in turn; or a function from the
                  request's body and the index of the choice to the text
    logprob       of every token, where asked for; or a function from a choice's text to that
    scored        log-probability of each of the tokens 0 to 19 as the next one; None tells nothing
    cached_tokens as the usage tells them; None tells nothing
    fault         (status, body) to answer instead, for completions and the list of models
    fault_for     the same as a function of a completion's body; None is no fault
    hang          never answer completions; `gone` is set once the caller has closed the connection
    hang_after    the same in the middle of a stream, after that many pieces
    break_after   close the connection after that many pieces of a stream
    error_after   say `stream_error` after that many pieces of a stream
    metrics       the text of /metrics; None is a 404
    requests      bodies of the completions asked for
    adapters      None: the server takes none; else name -> path of those that were loaded
    refuse_load   (status, body) to answer the next loads with
    connections   how many were made so far
    """

    def __init__(self, text: Text = "SELECT 1", port: int = 0) -> None:
        self.text = text
        self.logprob: float | Callable[[str], float] = -0.5
        self.scored: float | None = -0.5
        self.cached_tokens: int | None = None
        self.fault: tuple[int, str] | None = None
        self.fault_for: Callable[[dict[str, Any]], tuple[int, str] | None] = lambda body: None
        self.hang = False
        self.hang_after: int | None = None
        self.break_after: int | None = None
        self.error_after: int | None = None
        self.stream_error = '{"error": {"message": "EngineCore encountered an issue", "code": 500}}'
        self.finish_reason = "stop"
        self.metrics: str | None = None
        self.models = ["double"]
        self.adapters: dict[str, str] | None = None
        self.refuse_load: tuple[int, str] | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
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

    def adapter(self, path: str, body: dict[str, Any]) -> tuple[int, str]:
        """The answer of vLLM's two calls for adapters."""
        name = body["lora_name"]
        if self.adapters is None:
            return 404, '{"detail": "Not Found"}'
        if path == "/v1/unload_lora_adapter":
            return (200, "") if self.adapters.pop(name, None) else (404, "{}")
        if self.refuse_load:
            return self.refuse_load
        self.adapters[name] = body["lora_path"]
        return 200, f"Success: LoRA adapter '{name}' added successfully."

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion as OpenAI writes it."""
        return {
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": text},
                    "logprobs": self._logprobs(body, text, _pieces(text)),
                    "finish_reason": self.finish_reason,
                }
                for index, text in enumerate(self._texts(body))
            ],
            "usage": self._usage(body),
        }

    def likely(self) -> dict[str, Any]:
        """A completion of one token with what could have come, as vLLM tells it."""
        told = {f"token_id:{n}": self.scored for n in range(20)}
        return {"choices": [{"logprobs": {"top_logprobs": [told if self.scored else None]}}]}

    def chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The same as a stream: a role, then piece by piece, the choices in turn."""
        texts = self._texts(body)
        for index in range(len(texts)):
            yield _chunk(index, {"role": "assistant", "content": ""})
        for index, piece in _in_turn([_pieces(text) for text in texts]):
            told = self._logprobs(body, texts[index], [piece])
            yield _chunk(index, {"content": piece}, told)
        for index in range(len(texts)):
            yield _chunk(index, {}, None, self.finish_reason)
        if (body.get("stream_options") or {}).get("include_usage"):
            yield {"choices": [], "usage": self._usage(body)}

    def _texts(self, body: dict[str, Any]) -> list[str]:
        return [self._text(body, index) for index in range(body.get("n") or 1)]

    def _text(self, body: dict[str, Any], index: int) -> str:
        if isinstance(self.text, str):
            return self.text
        if isinstance(self.text, Sequence):
            return self.text[index % len(self.text)]
        return self.text(body, index)

    def _logprobs(
        self, body: dict[str, Any], text: str, pieces: Sequence[str]
    ) -> dict[str, Any] | None:
        if not body.get("logprobs"):
            return None
        one = self.logprob if isinstance(self.logprob, int | float) else self.logprob(text)
        return {"content": [{"token": piece, "logprob": one} for piece in pieces]}

    def _usage(self, body: dict[str, Any]) -> dict[str, Any]:
        said = sum(len(_pieces(text)) for text in self._texts(body))
        known = self.cached_tokens is not None
        details = {"prompt_tokens_details": {"cached_tokens": self.cached_tokens}} if known else {}
        return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": said} | details


def _pieces(text: str) -> list[str]:
    """What passes for tokens: each word with the blanks before it."""
    return re.findall(r"\s*\S+|\s+$", text)


def _in_turn(all_pieces: list[list[str]]) -> Iterator[tuple[int, str]]:
    for row in itertools.zip_longest(*all_pieces):
        yield from ((index, piece) for index, piece in enumerate(row) if piece is not None)


def _chunk(
    index: int,
    delta: dict[str, Any],
    logprobs: dict[str, Any] | None = None,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    return {"choices": [choice | ({"logprobs": logprobs} if logprobs else {})]}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that go away in the middle of an answer are part of the tests."""


def _handler(double: EngineDouble) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            double.connections += 1

        def do_GET(self) -> None:
            if self.path == "/health":
                self._send(200, "")
            elif self.path == "/metrics":
                self._send(404 if double.metrics is None else 200, double.metrics or "")
            elif double.fault:
                self._send(*double.fault)
            else:
                names = [*double.models, *(double.adapters or ())]
                self._send(200, json.dumps({"data": [{"id": name} for name in names]}))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/tokenize":
                self._tokenize(body)
                return
            if self.path.endswith("_lora_adapter"):
                self._send(*double.adapter(self.path, body))
                return
            double.requests.append(body)
            double.headers.append({k.lower(): v for k, v in self.headers.items()})
            double.asked.set()
            if double.hang:
                self._hang()
            elif fault := double.fault or double.fault_for(body):
                self._send(*fault)
            elif body.get("stream"):
                self._stream(body)
            elif "prompt" in body:
                self._send(200, json.dumps(double.likely()))
            else:
                self._send(200, json.dumps(double.answer(body)))

        def _tokenize(self, body: dict[str, Any]) -> None:
            said = body.get("prompt") or "".join(m["content"] for m in body["messages"])
            tokens = list(range(len(_pieces(said))))
            told = {"count": len(tokens), "max_model_len": 4096, "tokens": tokens}
            self._send(200, json.dumps(told))

        def _stream(self, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream; charset=utf-8")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            said = 0
            for chunk in double.chunks(body):
                if said == double.hang_after:
                    self._hang()
                    return
                if said == double.break_after:
                    self.close_connection = True
                    return
                if said == double.error_after:
                    self._event(double.stream_error)
                    break
                self._event(json.dumps(chunk))
                said += bool(chunk["choices"] and chunk["choices"][0]["delta"].get("content"))
            self._event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")

        def _event(self, data: str) -> None:
            event = f"data: {data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

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


def _running(model: ServedModel, home: Path, adapters: bool) -> Iterator[RealEngine]:
    """A real vLLM, ready; all of it is gone afterwards."""
    settings = load_settings(
        home=home, engine="local", max_model_len=2048, engine_kv_cache_gb=0.5, adapters=adapters
    )
    with asyncio.Runner() as runner:
        engine = make_engine(settings, model, lambda line: None)
        assert isinstance(engine, LocalEngine)
        runner.run(engine.start())
        try:
            runner.run(until(engine, "ready"))
            yield runner, engine
            left = [process.pid for process in family(engine)]
        finally:
            runner.run(engine.close())
    assert eventually_gone(left)


@pytest.fixture(scope="session")
def real_engine(
    small_model: ServedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealEngine]:
    """One real vLLM for all tests, ready; ask it things on its runner's loop."""
    yield from _running(small_model, tmp_path_factory.mktemp("engine"), adapters=False)


@pytest.fixture(scope="module")
def lora_engine(
    small_model: ServedModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealEngine]:
    """The same with room for adapters."""
    yield from _running(small_model, tmp_path_factory.mktemp("lora"), adapters=True)
