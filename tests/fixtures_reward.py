"""A reward service with faults to order: our own HTTP server, for what the real one seldom does."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Act:
    """What happens to one request.

    lines   sent as NDJSON; with `cut` the connection ends after them, with `hang` nothing follows
    status  with `body` as it is, instead of lines
    """

    lines: list[Any] | None = None
    cut: bool = False
    hang: bool = False
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def verdict(status: str = "match", **rest: Any) -> dict[str, Any]:
    masked = status == "infra_error"
    reward = None if masked else float(status == "match")
    return {"status": status, "reward": reward, "masked": masked, "retryable": masked,
            "metrics": {"bird_ex": reward or 0.0, "strict": reward or 0.0}, **rest}  # fmt: skip


def honest(items: Items) -> Act:
    """A match for every prediction; its text comes back as `sql`."""
    reports = [
        {"gold": {"status": "ok"}, "verdicts": [verdict(sql=sql) for sql in item["predictions"]]}
        for item in items
    ]
    return Act(lines=[{"index": n, **report} for n, report in enumerate(reports)])


def refuses(status: int, code: str, **headers: str) -> Act:
    error = {"code": code, "message": "so it is", "param": "db_id", "request_id": "r1"}
    return Act(status=status, body=json.dumps({"error": error}).encode(), headers=headers)


class RewardDouble:
    """Serves `script` in its order, then honest answers; both kinds of requests as lists of items.

    requests  the items of each request so far
    at_once   the most requests that were under way together
    gone      set once a caller has left a request that hangs
    """

    def __init__(self, *script: Act | Callable[[Items], Act]) -> None:
        self.script = list(script)
        self.requests: list[Items] = []
        self.headers: list[str] = []
        self.under_way = self.at_once = 0
        self.gone = threading.Event()
        self.hangs = threading.Event()
        self._start: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "RewardDouble":
        self._thread.start()
        self._loop, self._stop, port = self._start.result()
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self._start.set_result((asyncio.get_running_loop(), stop, port))
        await stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one; False where the connection is to end."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        single = head.split(" ")[1].endswith("/verify")
        self.headers.append(head)
        self.requests.append([body] if single else body["items"])
        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        act = self.script.pop(0) if self.script else honest
        if not isinstance(act, Act):
            act = act(self.requests[-1])
        await asyncio.sleep(0)
        try:
            return await self._act(act, single, reader, writer)
        finally:
            self.under_way -= 1

    async def _act(
        self,
        act: Act,
        single: bool,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        if act.lines is None or (single and not act.hang and not act.cut):
            answer = act.body if act.lines is None else json.dumps(act.lines[0]).encode()
            given = {"content-length": str(len(answer)), **act.headers}
            extra = "".join(f"{name}: {value}\r\n" for name, value in given.items())
            writer.write(f"HTTP/1.1 {act.status} X\r\n{extra}\r\n".encode() + answer)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for line in act.lines:
                data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
                writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            if not act.cut and not act.hang:
                writer.write(b"0\r\n\r\n")
        await writer.drain()
        if act.hang:
            self.hangs.set()
            try:
                await reader.read(1)
            finally:
                self.gone.set()
        return not act.cut and not act.hang
