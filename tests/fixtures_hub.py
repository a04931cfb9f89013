"""A Hugging Face hub of our own on loopback: one repository, the three calls that matter."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_ID = "org/tiny"


class _Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        if path == f"/api/models/{HUB_ID}/revision/{COMMIT}":
            siblings = [{"rfilename": n, "size": len(b)} for n, b in self.files.items()]
            self._send(200, json.dumps({"id": HUB_ID, "sha": COMMIT, "siblings": siblings}))
        elif path == f"/api/models/{HUB_ID}/tree/{COMMIT}":
            entries = [
                {"type": "file", "path": n, "size": len(b), "oid": f"{i:040x}"}
                for i, (n, b) in enumerate(self.files.items())
            ]
            self._send(200, json.dumps(entries))
        else:
            content = self.files.get(path.removeprefix(f"/{HUB_ID}/resolve/{COMMIT}/"))
            self._send(404 if content is None else 200, content or b"")

    def _send(self, status: int, body: str | bytes) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{self.path.rsplit("/", 1)[-1]}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[str]:
    """Serve `files` as HUB_ID at COMMIT; yields the address for HF_ENDPOINT."""
    handler = type("Handler", (_Handler,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
