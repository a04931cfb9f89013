"""A real Ray cluster in a network namespace of its own, for tests of the Ray launcher.

Ray's daemons listen on every address and take commands from all who reach them, so they get a
network with nothing in it but loopback; a relay (ray_relay.py) brings the dashboard's port out as a
Unix socket. Skipped by name where Ray or namespaces are missing.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from service.jobs.launchers.base import Launcher, Placement
from service.jobs.launchers.ray.client import RayJobs
from service.jobs.launchers.ray.launcher import RayLauncher
from service.jobs.launchers.ray.submission import Program
from service.jobs.resources import Resources
from tests.fixtures_jobs import TINY, end_trainers, placement

ROOT = Path(__file__).parents[1]
TOKEN = "a-token-that-only-these-tests-know-0123456789"
PORT = 8265
URL = f"http://127.0.0.1:{PORT}"
_START_S = 900
_PATIENT = {
    "RAY_DASHBOARD_STARTUP_TIMEOUT_S": "900",
    "RAY_agent_register_timeout_ms": "900000",
    "RAY_worker_register_timeout_seconds": "900",
    "RAY_health_check_failure_threshold": "100",
}
"""Of a machine that does other things too."""
_QUIET = ["--disable-usage-stats", "--node-ip-address=127.0.0.1", "--object-store-memory=80000000"]


class RayCluster:
    """A head that may die and come back; each life is a cluster that knows nothing of the last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lives = 0
        self._started: list[subprocess.Popen[bytes]] = []

    @property
    def socket(self) -> Path:
        """Where the relay of this life listens."""
        return self._folder / f"relay{self._lives}"

    def start(self) -> None:
        """A new namespace with a new head in it."""
        self._lives += 1
        relay = [sys.executable, str(ROOT / "tests/ray_relay.py"), str(self.socket), str(PORT)]
        self._spawn(["unshare", "-n", *relay])
        self._until(self.socket.exists)
        folder = f"--temp-dir={self._folder / f'ray{self._lives}'}"
        self._ray("--head", "--port=6379", f"--dashboard-port={PORT}", folder)
        self._until(self._takes_jobs)

    def add_node(self) -> None:
        """A second node, on this same machine."""
        self._ray("--address=127.0.0.1:6379")

    def die(self) -> None:
        """SIGKILL to every process in the namespace."""
        for started in self._started:
            if started.stdin:
                started.stdin.close()
        for started in self._started:
            started.wait()
        self._started.clear()

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those in the namespace whose command line has all these words."""
        if not self._started:
            return []
        here = _namespace(self._started[0].pid)
        pids = [pid for pid in psutil.pids() if here and _namespace(pid) == here]
        return [psutil.Process(pid) for pid in pids if all(w in _command(pid) for w in words)]

    def jobs(self, token: str | None = TOKEN, timeout_s: float = 60) -> RayJobs:
        """A client; the timeout is that of a busy machine."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        return RayJobs(URL, token=token, timeout_s=timeout_s, transport=transport)

    def _ray(self, *options: str) -> None:
        start = [sys.executable, str(ROOT / "tests/ray_start.py"), "start", "--block"]
        room = ["--num-cpus=2", f"--memory={64 << 30}"]
        self._spawn(
            [
                "nsenter",
                f"--net=/proc/{self._started[0].pid}/ns/net",
                *start,
                *_QUIET,
                *options,
                *room,
            ]
        )

    def _spawn(self, command: list[str]) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        ours = {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        with (self._folder / "output").open("ab") as said:
            self._started.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=said,
                    stderr=said,
                    env=kept | ours | _PATIENT,
                )
            )

    def _takes_jobs(self) -> bool:
        """The dashboard answers before the agent is there that takes jobs from it."""
        with (
            suppress(httpx.HTTPError),
            httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), timeout=60) as client,
        ):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            body = {"entrypoint": "true", "submission_id": "first"}
            answer = client.post(f"{URL}/api/jobs/", json=body, headers=headers)
            return answer.status_code == 200 or "already exists" in answer.text
        return False

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_S
        while not holds():
            ended = any(started.poll() is not None for started in self._started)
            if ended or time.monotonic() > deadline:
                pytest.fail(f"Ray does not start: {(self._folder / 'output').read_text()[-2000:]}")
            time.sleep(0.5)


class RayPlace:
    """One run on the cluster; its folder is shared, since all nodes are this machine."""

    patience_s = 400.0

    def __init__(self, cluster: RayCluster, folder: Path, **resources: object) -> None:
        self.cluster = cluster
        asked = Resources.model_validate({"cpus": 1, "memory_gb": 1} | resources)
        self._run = replace(placement(folder), job_id=f"job_{folder.parent.name}", resources=asked)

    @asynccontextmanager
    async def launcher(self, *acts: str) -> AsyncIterator[Launcher]:
        """Its trainer is tiny_trainer.py."""
        command = [sys.executable, str(TINY), *acts]
        program = Program(sys.executable, command, {"TZ": "UTC"}, stop_s=60)
        made = RayLauncher(self.cluster.jobs(), program)
        try:
            yield made
        finally:
            await made.close()

    def placement(self, attempt: int = 0) -> Placement:
        """The one run of this test."""
        return replace(self._run, attempt=attempt)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """One cluster for all tests; its processes are killed by id, never by `ray stop`."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install '.[ray]'")
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("unshare and nsenter (util-linux) are not here")
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("no right to make a network namespace (unshare -n)")
    # A short path: Ray's sockets lie deep below it, and their names are bounded.
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = RayCluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.die()


@pytest.fixture
def ray_place(ray_cluster: RayCluster, tmp_path: Path) -> Iterator[RayPlace]:
    """A run on the cluster; what it leaves is killed."""
    yield RayPlace(ray_cluster, tmp_path / "run")
    end_trainers(tmp_path)


def _namespace(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
