"""The one check after every attack: nothing changed, nothing left behind, nobody out of breath."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

TEMPORARY = (Path("/tmp"), Path("/var/tmp"), Path("/usr/tmp"), Path("/"))
"""Where SQLite would put temporary files, the workers' own folder last."""
_WORKER = "service.sandbox.worker"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    files: dict[str, str]
    """Path to SHA-256 of what is below the watched folders."""
    temporary: set[str]
    """SQLite's temporary files, and what is in the workers' folder."""
    descriptors: int
    children: int
    rss: int
    workers_rss: list[int]
    strange: list[str] = field(default_factory=list)
    """Descriptors of workers that are neither pipe nor null nor a file that is still there."""


class SandboxWatch:
    """Looks before and after; on leaving asserts that the attack left nothing.

    `folders` are compared byte by byte. The replacing of a worker takes a moment, so the look
    after is repeated until `settle_s`; `pause` lets the event loop of the sandbox go on meanwhile.
    """

    def __init__(
        self,
        *folders: Path,
        pause: Callable[[float], object] = time.sleep,
        settle_s: float = 15.0,
        rss_growth_mb: int = 48,
        worker_rss_mb: int = 96,
        deleted_databases: bool = False,
    ) -> None:
        self._folders = folders
        self._pause = pause
        self._settle_s = settle_s
        self._rss_growth = rss_growth_mb * 2**20
        self._deleted_databases = deleted_databases
        self._worker_rss = worker_rss_mb * 2**20

    def __enter__(self) -> "SandboxWatch":
        self._before = _look(self._folders)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            until = time.monotonic() + self._settle_s
            while (found := self._left_over()) and time.monotonic() < until:
                self._pause(0.02)
            assert not found, found

    def _left_over(self) -> list[str]:
        before, after = self._before, _look(self._folders)
        changed = dict(before.files.items() ^ after.files.items())
        found = [f"file changed, added or gone: {path}" for path in changed]
        found += [f"temporary file: {path}" for path in after.temporary - before.temporary]
        if after.descriptors > before.descriptors:
            found.append(f"descriptors: {before.descriptors} -> {after.descriptors}")
        if after.children != before.children:
            found.append(f"processes: {before.children} -> {after.children}")
        if after.rss - before.rss > self._rss_growth:
            found.append(f"memory of the service: {before.rss >> 20} -> {after.rss >> 20} MiB")
        large = [rss >> 20 for rss in after.workers_rss if rss > self._worker_rss]
        found += [f"memory of a worker: {mb} MiB" for mb in large]
        strange = [t for t in after.strange if not self._may_be_open(t)]
        return found + [f"descriptor of a worker: {target}" for target in strange]

    def _may_be_open(self, target: str) -> bool:
        if target.startswith("/memfd:progress"):  # the number that it shares with the service
            return True
        # A worker keeps its last databases open, and learns of their end when it needs the place.
        return self._deleted_databases and target.endswith(".sqlite (deleted)")


def workers() -> list[psutil.Process]:
    """The worker processes below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(_WORKER in part for part in process.cmdline()):
                found.append(process)
    return found


def _look(folders: tuple[Path, ...]) -> _Snapshot:
    me, alive = psutil.Process(), workers()
    return _Snapshot(
        files={str(p): _digest(p) for folder in folders for p in sorted(folder.rglob("*"))},
        temporary=_temporary(),
        descriptors=me.num_fds(),
        children=len(me.children(recursive=True)),
        rss=me.memory_info().rss,
        workers_rss=[_rss(worker) for worker in alive],
        strange=[target for worker in alive for target in _strange(worker.pid)],
    )


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _temporary() -> set[str]:
    names = {str(path) for folder in TEMPORARY[:-1] for path in folder.glob("etilqs_*")}
    return names | {str(path) for path in TEMPORARY[-1].iterdir()}


def _strange(pid: int) -> list[str]:
    targets: Counter[str] = Counter()
    with suppress(OSError):  # it may end meanwhile
        for name in os.listdir(f"/proc/{pid}/fd"):
            targets[os.readlink(f"/proc/{pid}/fd/{name}")] += 1
    return [target for target in targets if not _expected(target)]


def _expected(target: str) -> bool:
    return target.startswith(("pipe:", "socket:", "/dev/null")) or target.endswith(".sqlite")
