"""The models folder: complete models only, one maker at a time, nothing half-made left behind.

<models_dir>/<key>@<12 of the revision>/   complete: its marker, written last, lists every file
<models_dir>/.tmp-<key>-<pid>/             being made; renamed into place when complete
<models_dir>/.lock-<key>                   held by the process that makes it
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from service.errors import ModelUnavailable, NoDiskSpace
from service.models.child import Stopped

MARKER = "verisql-model.json"
LOCK_POLL_S = 0.2


def folder_of(models_dir: Path, key: str, revision: str) -> Path:
    """Where that model at that revision is kept."""
    return models_dir / f"{key}@{revision.removeprefix('gguf-sha256:')[:12]}"


def find(models_dir: Path, key: str, revision: str) -> Path | None:
    """The folder if it is complete: marked, and every file there with the size that it had."""
    folder = folder_of(models_dir, key, revision)
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        whole = all((folder / n).stat().st_size == size for n, size in marker["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return folder if whole and marker.get("revision") == revision else None


def publish(made: Path, models_dir: Path, key: str, revision: str) -> Path:
    """Mark `made` complete and rename it into place; whatever half-made lay there is removed."""
    files = {p.name: p.stat().st_size for p in sorted(made.iterdir()) if p.is_file()}
    for name in files:
        # Some writers leave 0600; a service under another user must be able to read.
        (made / name).chmod(0o644)
    with (made / MARKER).open("w") as file:
        json.dump({"model": key, "revision": revision, "files": files}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    final = folder_of(models_dir, key, revision)
    shutil.rmtree(final, ignore_errors=True)
    made.rename(final)
    return final


@contextlib.contextmanager
def workshop(
    models_dir: Path, key: str, say: Callable[[str], None], stop: threading.Event | None = None
) -> Iterator[Path]:
    """An empty folder to make one model in, for one process at a time; removed at the end.

    Waits for another process that makes the same model. Raises ModelUnavailable if the models
    folder cannot be written, Stopped once `stop` is set.
    """
    with _lock_file(models_dir, key) as lock:
        _acquire(lock, key, say, stop)
        # Under the lock every such folder belongs to a process that is gone.
        for stale in models_dir.glob(f".tmp-{key}-*"):
            shutil.rmtree(stale, ignore_errors=True)
        folder = models_dir / f".tmp-{key}-{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def require_space(folder: Path, needed: int, free_bytes: Callable[[Path], int]) -> None:
    """Raise NoDiskSpace if `folder`'s disk has under `needed` bytes free."""
    free = free_bytes(folder)
    if free < needed:
        raise NoDiskSpace(
            f"{folder} needs {megabytes(needed)} free for this model and has {megabytes(free)}: "
            "free some space, or set VERISQL_MODELS_DIR to a folder on a larger disk"
        )


def free_bytes(folder: Path) -> int:
    """Bytes that this user can still write on the folder's disk."""
    return shutil.disk_usage(folder).free


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below, those that vanish meanwhile not counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def megabytes(size: float) -> str:
    """Bytes as a person reads them, in units of 10^6."""
    return f"{size / 1e6:,.0f} MB"


def _lock_file(models_dir: Path, key: str) -> IO[str]:
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        return (models_dir / f".lock-{key}").open("w")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoDiskSpace(f"no space left on the disk of {models_dir}") from error
        raise ModelUnavailable(
            f"the models folder {models_dir} cannot be written ({error.strerror}): "
            "set VERISQL_MODELS_DIR to a folder that can"
        ) from error


def _acquire(
    lock: IO[str], key: str, say: Callable[[str], None], stop: threading.Event | None
) -> None:
    pause, told = stop or threading.Event(), False
    while True:
        try:
            # Released by the system when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                say(f"waiting for another process that prepares {key}")
                told = True
        if pause.wait(LOCK_POLL_S):
            raise Stopped
