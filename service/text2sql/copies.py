"""Altered copies of databases on disk: built when first asked for, kept, bounded in bytes.

A folder `<sha256>-<seed>-<instances>-v<version>` holds the copies of one database. It is built by a
process of its own under a temporary name and then renamed, so that several services can share the
folder: the first to rename wins, the others use what is there.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from service.errors import DatabaseUnusable, NoDiskSpace, Unavailable
from service.sandbox.copies.build import VERSION
from service.text2sql.databases import Database
from service.text2sql.types import Robust

_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from service.sandbox.copies.build import main; sys.exit(main(sys.argv[2:]))"
)
_TEMPORARY = "building-"
_ABANDONED_S = 3600.0


class Copies:
    """The copies under one folder. Builders of the same copies are joined."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = 1 << 30,
        timeout_s: float = 60.0,
        memory_mb: int = 1024,
        builders: int = 1,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._slots = asyncio.Semaphore(builders)
        self._building: dict[str, asyncio.Task[None]] = {}

    async def get(self, database: Database, sha256: str, robust: Robust) -> list[Path]:
        """Paths of the copies, instance 0 first; `manifest.json` stands beside them.

        Raises DatabaseUnusable where the database cannot be read, Unavailable where the builder was
        too slow or died, NoDiskSpace.
        """
        name = f"{sha256}-{robust.seed}-{robust.instances}-v{VERSION}"
        target = self._folder / name
        while not target.is_dir():
            if name not in self._building:
                task = asyncio.create_task(self._build(database, target, robust))
                self._building[name] = task
                task.add_done_callback(lambda _: self._building.pop(name, None))
            # Shielded: whoever asked first may go away while others wait for the same copies.
            await asyncio.shield(self._building[name])
        with suppress(OSError):
            os.utime(target)  # the least recently used folder leaves first
        return [target / f"{n}.sqlite" for n in range(robust.instances)]

    async def close(self) -> None:
        """Stop builders; their temporary folders are removed."""
        for task in list(self._building.values()):
            task.cancel()
        await asyncio.gather(*self._building.values(), return_exceptions=True)

    async def _build(self, database: Database, target: Path, robust: Robust) -> None:
        async with self._slots:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                made = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self._folder))
            except OSError as error:
                raise NoDiskSpace(f"copies cannot be written: {error.strerror}") from error
            try:
                await self._run(database, made, robust)
                with suppress(OSError):  # another service was first
                    made.rename(target)
            finally:
                shutil.rmtree(made, ignore_errors=True)
        self._evict(keep=target)

    async def _run(self, database: Database, folder: Path, robust: Robust) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _ROOT),
            *(str(database.path), str(folder), str(robust.seed), str(robust.instances)),
            str(self._memory_mb),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await process.communicate()
        except TimeoutError:
            raise Unavailable(
                f"altered copies of {database.db_id!r} took longer than {self._timeout_s:g} s",
                retry_after_s=30,
            ) from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise _failure(database, process.returncode, said.decode(errors="replace").strip())

    def _evict(self, keep: Path) -> None:
        """Remove the least recently used folders until the rest is within the bound.

        What a builder left that was killed with its service goes too, an hour later.
        """
        found = []
        for folder in self._folder.iterdir():
            with suppress(OSError):
                changed = folder.stat().st_mtime
                if folder.name.startswith(_TEMPORARY) and changed < time.time() - _ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                size = sum(file.stat().st_size for file in folder.iterdir())
                found.append((changed, size, folder))
        total = sum(size for _, size, _ in found)
        for _, size, folder in sorted(found):
            if total <= self._max_bytes:
                return
            if folder != keep and not folder.name.startswith(_TEMPORARY):
                shutil.rmtree(folder, ignore_errors=True)
                total -= size


def left_out(copies: list[Path]) -> list[str]:
    """Names of tables, indexes and triggers that the copies do not have."""
    manifest = json.loads((copies[0].parent / "manifest.json").read_text())
    return [str(name) for name in manifest["left_out"]]


def _failure(
    database: Database, code: int, said: str
) -> DatabaseUnusable | NoDiskSpace | Unavailable:
    line = said.splitlines()[-1] if said else f"exit code {code}"
    if "No space left" in line or "disk is full" in line:
        return NoDiskSpace(f"copies cannot be written: {line}")
    if code == 1 and said:
        return DatabaseUnusable(
            f"no altered copies of {database.db_id!r} can be made: {line}", param="db_id"
        )
    return Unavailable(f"altered copies of {database.db_id!r}: the builder died ({line})")
