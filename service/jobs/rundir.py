"""What a training run leaves on disk, and the only code that knows the file names.

job.json         RunRequest, written once by the service
process.json     pid and start time, written by the launcher; lock is held while the process lives
status.json      RunStatus, replaced whole by the trainer
metrics.jsonl    one line a step        events.jsonl    one line an event
rollouts.jsonl   samples as generated   trainer.log     stdout and stderr
golds.json       what the golds have shown, so that every session trains on the same rows
stages/STAGE.json                       what an ended stage leaves for the next one
driver.json, kill-N                     of a run in a Ray cluster (service/jobs/driver.py)
checkpoints/step_N/                     complete or absent (temporary name, then rename)
"""

import errno
import json
import os
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from service.errors import NoDiskSpace
from service.jobs.lines import lines_from
from service.jobs.spec import RunRequest

FULL_EXIT = 74
"""Exit code of a trainer whose disk was so full that status.json could not be written (EX_IOERR of
sysexits.h)."""
_FULL = (errno.ENOSPC, errno.EDQUOT)

RunState = Literal["starting", "running", "succeeded", "failed", "cancelled"]


class RunError(BaseModel):
    """Why a run failed, in the shape of the API's error."""

    code: str
    message: str
    param: str | None = None


class RunStatus(BaseModel):
    """`status.json`: what the trainer says of itself."""

    state: RunState = "starting"
    stage: str = "grpo"
    step: int = 0
    max_steps: int = 0
    eta_s: float | None = None
    error: RunError | None = None
    best_checkpoint: int | None = None
    updated_at: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the steps that are done, 0..1."""
        return self.step / self.max_steps if self.max_steps else 0.0


class Checkpoint(BaseModel):
    """One complete checkpoint."""

    step: int
    metrics: dict[str, Any]
    """The rows of metrics.jsonl of that step as one, the earlier before the later; or empty."""
    created_at: float
    size_bytes: int


class LogLine(NamedTuple):
    """A line of trainer.log without its end, and the byte after it."""

    text: str
    end: int


class RunDir:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log_path(self) -> Path:
        """Combined output of the trainer process."""
        return self.path / "trainer.log"

    @property
    def metrics_path(self) -> Path:
        """The rows of numbers, one a step."""
        return self.path / "metrics.jsonl"

    @property
    def events_path(self) -> Path:
        """What happened."""
        return self.path / "events.jsonl"

    @property
    def checkpoints_path(self) -> Path:
        """Folder of `step_N` folders."""
        return self.path / "checkpoints"

    @property
    def lock_path(self) -> Path:
        """Locked (flock) by the trainer process for as long as it lives."""
        return self.path / "lock"

    @property
    def process_path(self) -> Path:
        """Identity of the trainer process."""
        return self.path / "process.json"

    def exists(self) -> bool:
        """True once job.json is written."""
        return (self.path / "job.json").exists()

    def create(self, request: RunRequest) -> None:
        """Write job.json, once; raises FileExistsError if the run exists.

        The folder itself may be there already: events come before, and the service may have been
        killed between the two.
        """
        if self.exists():
            raise FileExistsError(self.path)
        self.path.mkdir(parents=True, exist_ok=True)
        replace_whole(self.path / "job.json", request.model_dump_json(indent=1))

    def request(self) -> RunRequest:
        """Read job.json; raises FileNotFoundError or pydantic.ValidationError."""
        return RunRequest.model_validate_json((self.path / "job.json").read_bytes())

    def write_status(self, status: RunStatus) -> None:
        """Replace status.json whole, stamped with the time of writing."""
        stamped = status.model_copy(update={"updated_at": time.time()})
        replace_whole(self.path / "status.json", stamped.model_dump_json())

    def status(self) -> RunStatus | None:
        """The last status written, or None before the first."""
        try:
            return RunStatus.model_validate_json((self.path / "status.json").read_bytes())
        except FileNotFoundError:
            return None

    def begin_attempt(self) -> None:
        """Make status.json say `starting`: the last word of an attempt is not that of the next."""
        try:
            last = self.status()
        except ValidationError:
            last = RunStatus()
        if last is not None:
            fresh = {"state": "starting", "eta_s": None, "error": None}
            self.write_status(last.model_copy(update=fresh))

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one step's numbers to metrics.jsonl."""
        _append(self.metrics_path, row)

    def append_event(self, level: str, type_: str, message: str, **data: Any) -> None:
        """Add one event: level is debug, info, warning or error."""
        row = {"created_at": time.time(), "level": level, "type": type_, "message": message}
        _append(self.events_path, row | ({"data": data} if data else {}))

    def append_rollout(self, row: dict[str, Any]) -> None:
        """Add one sampled completion with its verdict to rollouts.jsonl."""
        _append(self.path / "rollouts.jsonl", row)

    def keep_steps(self, last: int) -> None:
        """Drop the metrics and rollouts of steps after `last`, each file replaced whole."""
        for path in (self.metrics_path, self.path / "rollouts.jsonl"):
            every = lines_from(path, 0, None)
            lines = [ln for ln in every if parsed(ln).get("step", last + 1) <= last]
            if path.exists():
                replace_whole(path, b"".join(lines).decode())

    def metrics(self, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Complete lines of metrics.jsonl from line `after` (0-based) on."""
        return _rows(self.metrics_path, after, limit)

    def newest_metrics(self, max_bytes: int = 16_384) -> dict[str, Any]:
        """The last value of each number in the last rows; empty if there is none."""
        size = self.metrics_path.stat().st_size if self.metrics_path.exists() else 0
        start = max(0, size - max_bytes)
        lines = _chunk(self.metrics_path, start, max_bytes).split(b"\n")
        newest: dict[str, Any] = {}
        for line in lines[1 if start else 0 : -1]:  # whole ones
            newest |= parsed(line)
        return newest

    def events(self, after: int = 0, limit: int | None = None) -> list[dict[str, Any]]:
        """Complete lines of events.jsonl from line `after` (0-based) on."""
        return _rows(self.events_path, after, limit)

    def checkpoints(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        names = (p.name for p in self.checkpoints_path.glob("step_*"))
        return sorted(int(n[5:]) for n in names if n[5:].isdigit())

    def checkpoint_list(self) -> list[Checkpoint]:
        """Each complete checkpoint with its size, age and metrics, by step."""
        rows: dict[Any, dict[str, Any]] = {}
        for row in self.metrics():
            # What is measured of a step later, such as its accuracy on dev, is added to its row.
            rows[row.get("step")] = row | rows.get(row.get("step"), {})
        return [self._checkpoint(step, rows.get(step, {})) for step in self.checkpoints()]

    def _checkpoint(self, step: int, metrics: dict[str, Any]) -> Checkpoint:
        folder = self.checkpoints_path / f"step_{step}"
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        return Checkpoint(
            step=step, metrics=metrics, created_at=folder.stat().st_mtime, size_bytes=size
        )

    def log(
        self, after: int = 0, max_bytes: int = 65_536, *, final: bool = False
    ) -> tuple[list[str], int]:
        """Lines of trainer.log from byte `after` on, and the byte to go on from.

        Unless the log is `final`, its last line is held back until it is complete. A line longer
        than `max_bytes` comes in pieces.
        """
        lines = self.log_lines(after, max_bytes, final=final)
        return [line.text for line in lines], lines[-1].end if lines else after

    def log_lines(self, after: int, max_bytes: int, *, final: bool = False) -> list[LogLine]:
        """As `log`, each line with the byte after it."""
        chunk = _chunk(self.log_path, after, max_bytes)
        end = chunk.rfind(b"\n") + 1
        full = len(chunk) == max_bytes
        if (final and not full) or (full and not end):
            end = len(chunk)
        return list(_log_lines(chunk[:end], after))

    def log_start(self, lines: int, max_bytes: int, *, final: bool = False) -> int:
        """The byte at which the last `lines` lines begin, as many as `max_bytes` hold."""
        size = self.log_path.stat().st_size if self.log_path.exists() else 0
        start = max(0, size - max_bytes)
        found = self.log_lines(start, max_bytes, final=final)
        if start and found:  # The first one may be the rest of a longer line.
            start, found = found[0].end, found[1:]
        return found[-lines - 1].end if len(found) > lines else start

    def log_tail(self, max_bytes: int = 2000) -> str:
        """The last whole lines of trainer.log, empty if there is none."""
        size = self.log_path.stat().st_size if self.log_path.exists() else 0
        start = max(0, size - max_bytes)
        text = _chunk(self.log_path, start, max_bytes).decode(errors="replace")
        return (text.partition("\n")[2] if start else text).strip()


def is_full(error: BaseException) -> bool:
    """True if the error means that a disk is full, or this user's share of it."""
    return isinstance(error, NoDiskSpace) or (isinstance(error, OSError) and error.errno in _FULL)


def replace_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text; raises OSError, the old kept."""
    temporary = path.with_suffix(path.suffix + f".tmp{os.getpid()}")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)  # It would keep what little room there is.
        raise


def _append(path: Path, row: dict[str, Any]) -> None:
    # One write call with O_APPEND: a reader sees the whole line or a last line without newline.
    with path.open("a+b", buffering=0) as file:
        line = _newline_due(file) + json.dumps(row, separators=(",", ":")).encode() + b"\n"
        if (written := file.write(line)) < len(line):
            file.write(line[written:])  # A full disk cuts short, and is an error only now.


def _newline_due(file: FileIO) -> bytes:
    """What ends a line that a full disk has cut short, so that the next one stays whole."""
    end = file.seek(0, os.SEEK_END)
    return b"\n" if end and os.pread(file.fileno(), 1, end - 1) != b"\n" else b""


def _chunk(path: Path, start: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _log_lines(chunk: bytes, start: int) -> Iterator[LogLine]:
    for line in chunk.splitlines(keepends=True):
        start += len(line)
        yield LogLine(line.rstrip(b"\r\n").decode(errors="replace"), start)


def _rows(path: Path, after: int, limit: int | None) -> list[dict[str, Any]]:
    return [parsed(line) for line in lines_from(path, after, limit)]


def parsed(line: bytes) -> dict[str, Any]:
    """A row of metrics.jsonl or events.jsonl; `unreadable` has a line that is none.

    A disk that was full for a moment can tear a line. It keeps its place: cursors count lines.
    """
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    return row if isinstance(row, dict) else {"unreadable": line.decode(errors="replace").strip()}
