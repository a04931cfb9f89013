"""The real service as a process of its own, for the benches: start, wait, measure, stop.

Nothing of the caller's VERISQL_* settings is taken over; each service has what the bench says.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

_WORKER = "service.sandbox.worker"
_ADDRESS = re.compile(r"answering on (http://\S+);")


@dataclass
class Running:
    """A service that answers: its URL and its process."""

    url: str
    process: psutil.Process
    lines: list[str]
    """What it wrote on standard error so far."""

    def workers(self) -> list[psutil.Process]:
        """The SQL workers alive now."""
        found = []
        for child in self.process.children(recursive=True):
            with suppress(psutil.Error):
                if _WORKER in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def service_cpu_s(self) -> float:
        """CPU seconds so far of the service's own process."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def workers_cpu_s(self) -> float:
        """CPU seconds so far of its children, those that ended included."""
        ended = self.process.cpu_times()
        total = ended.children_user + ended.children_system
        for child in self.process.children(recursive=True):
            with suppress(psutil.Error):
                times = child.cpu_times()
                total += times.user + times.system
        return float(total)


@contextmanager
def service(
    *, data_dir: str = "", home: Path | None = None, timeout_s: float = 600.0, **settings: object
) -> Iterator[Running]:
    """`python -m service serve` on a free port, ready; a new home unless one is given."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VERISQL_")}
    with tempfile.TemporaryDirectory(prefix="verisql-bench-") as fresh:
        chosen = {"home": home or fresh, "data_dir": data_dir, "log_level": "warning"} | settings
        environment |= {f"VERISQL_{k.upper()}": str(v) for k, v in chosen.items()}
        with subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0"],
            env=environment, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            lines: list[str] = []
            reader = threading.Thread(target=_drain, args=(process, lines), daemon=True)
            reader.start()
            try:
                yield _ready(process, lines, timeout_s)
            finally:
                _stop(process)
                reader.join()


def _stop(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ready(process: "subprocess.Popen[str]", lines: list[str], timeout_s: float) -> Running:
    end = time.monotonic() + timeout_s
    url = None
    while time.monotonic() < end and process.poll() is None:
        url = url or next((found[1] for line in lines if (found := _ADDRESS.search(line))), None)
        if url and _answers(url):
            return Running(url, psutil.Process(process.pid), lines)
        time.sleep(0.05)
    raise SystemExit("the service did not start:\n" + "\n".join(lines[-20:]))


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=20).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _drain(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    # Read for as long as it runs: a full pipe would stop the service.
    assert process.stderr
    for line in process.stderr:
        lines.append(line.rstrip())
        del lines[:-1000]
