"""A real disk of a few megabytes that a test may fill: a tmpfs, where the process may mount one."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest


class Disk:
    """A file system of its own at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave_bytes: int = 0) -> None:
        """Leave so many bytes, in whole pages."""
        self.empty()
        if leave_bytes:
            (self.path / "room").write_bytes(bytes(leave_bytes))
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        (self.path / "room").unlink(missing_ok=True)

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def is_full(self) -> bool:
        """True if not even one byte can be written to a new file."""
        try:
            (self.path / "probe").write_bytes(b"1")
        except OSError as error:
            return error.errno == errno.ENOSPC
        finally:
            (self.path / "probe").unlink(missing_ok=True)
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """4 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)]
    if not shutil.which("mount"):
        pytest.skip("this machine has no mount program")
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this process may not mount a tmpfs: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
