"""`verisql serve` as a real process: it starts, answers, and leaves nothing behind when it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).parents[1]


class Service:
    """A running `verisql serve`; `url` is where it says that it answers."""

    def __init__(self, home: Path, port: int = 0, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"VERISQL_HOME": str(home), "VERISQL_ENGINE": "off"} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self.url = self._wait_for(r"answering on (http://\S+);")
        # A pipe that nobody reads would in the end stop the writer.
        self._reader = threading.Thread(target=self._drain, daemon=True)
        self._reader.start()

    def _wait_for(self, pattern: str) -> str:
        assert self.process.stderr
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found.group(1)
        raise AssertionError("".join(self.lines))

    def _drain(self) -> None:
        assert self.process.stderr
        with self.process.stderr as lines:
            self.lines.extend(lines)

    def wait_until_ready(self, timeout_s: float = 60) -> None:
        """Until every part is able to serve."""
        until = time.monotonic() + timeout_s
        while (answer := httpx.get(f"{self.url}/readyz")).status_code != 200:
            assert time.monotonic() < until, answer.text
            time.sleep(0.1)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self._reader.join(timeout=30)
        return self.process.wait(timeout=30)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    started = Service(tmp_path / "home")
    yield started
    started.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end_leaves_no_process(service: Service, number: signal.Signals) -> None:
    children = service.children()
    assert len(children) >= 1
    assert httpx.get(f"{service.url}/readyz").json()["ready"]
    assert service.end(number) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    service = Service(tmp_path / "home", VERISQL_LOG_LEVEL="debug")
    assert service.end(signal.SIGTERM) == 0
    # asyncio's own loop names its selector at this level.
    assert '"level": "debug"' in "".join(service.lines)
    assert "Using selector" not in "".join(service.lines)


def test_workers_end_with_a_service_that_is_killed(service: Service) -> None:
    children = service.children()
    service.end(signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_an_attack_over_http_leaves_the_service_honest(service: Service) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 1 FROM c, c"
    gold = "SELECT count(*) FROM store"
    predictions = ["DELETE FROM store", "ATTACH 'x' AS y", gold, endless + " WHERE x < 0", gold]
    body = {"db_id": "alpine_retail", "gold_sql": gold, "predictions": predictions}
    answer = httpx.post(f"{service.url}/verify", json=body | {"timeout_s": 0.5}, timeout=30).json()
    found = [verdict["status"] for verdict in answer["verdicts"]]
    assert found[:3] == ["forbidden", "forbidden", "match"]
    assert found[3] in ("timeout", "exec_error")
    assert found[4] == "match"


def test_an_upload_without_a_key_is_refused_before_its_body_comes(tmp_path: Path) -> None:
    service = Service(tmp_path / "home", VERISQL_API_KEYS="secret")
    head = "POST /verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    try:
        address = ("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(head.encode() + b"5\r\n12345\r\n")  # and nothing more
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    finally:
        service.kill()
    assert answer.startswith(b"HTTP/1.1 401")
    assert b'"code":"unauthorized"' in answer


def test_a_request_that_outlasts_the_service_is_told_so(service: Service) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    body = {"db_id": "alpine_retail", "gold_sql": "SELECT 1", "predictions": [endless]}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(httpx.post, f"{service.url}/verify", json=body, timeout=60)
        while "verisql_workers_busy 1.0" not in httpx.get(f"{service.url}/metrics").text:
            time.sleep(0.05)
        assert service.end(signal.SIGTERM) == 0
    answer = asked.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert not any("Traceback" in line for line in service.lines)


def _refused(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "serve", *arguments],
        cwd=ROOT,
        env=os.environ | {"VERISQL_HOME": str(home), "VERISQL_ENGINE": "off"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_port_in_use_is_said_in_one_line(service: Service, tmp_path: Path) -> None:
    port = service.url.rsplit(":", 1)[1]
    done = _refused(tmp_path / "other", "--port", port)
    assert done.returncode == 2
    assert "invalid_settings" in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"VERISQL_WORKERS": "x"}, "VERISQL_WORKERS='x'"),
        ({"VERISQL_HOST": "0.0.0.0"}, "VERISQL_API_KEYS"),
        ({"VERISQL_DATA_DIR": "/nowhere/at/all"}, "/nowhere/at/all is not a folder"),
        ({"VERISQL_ENGINE": "local", "VERISQL_MODEL": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"VERISQL_STORE_URL": "mysql://x"}, "VERISQL_STORE_URL"),
        ({"VERISQL_HOME": "/dev/null/home"}, "VERISQL_HOME"),
        ({"VERISQL_HOME": "~nosuchuser/x"}, "VERISQL_HOME=~nosuchuser/x"),
        ({"VERISQL_DATA_DIR": "~nosuchuser/x"}, "VERISQL_DATA_DIR=~nosuchuser/x"),
        ({"VERISQL_MODELS_DIR": "~nosuchuser/x"}, "VERISQL_MODELS_DIR=~nosuchuser/x"),
        ({"VERISQL_ENGINE": "local", "VERISQL_MODEL": "~nosuchuser/x"}, "'~nosuchuser/x'"),
    ],
)
def test_a_service_that_cannot_start_says_why(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    done = _refused(tmp_path / "home", "--port", "0", **environment)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
