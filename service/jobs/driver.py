"""What passes between a launcher and the driver that it placed in a cluster: files of the run.

A driver starts the trainer on other machines (trainer/scale/on_ray.py). It says in driver.json
where it stands, so that this is known even when the cluster has forgotten it; kill-N tells the
driver of attempt N to end everything now.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from service.jobs.rundir import replace_whole

PREEMPTED_EXIT = 75
"""Exit code of a driver whose machines were taken away (EX_TEMPFAIL of sysexits.h)."""


class DriverNote(BaseModel):
    """driver.json."""

    attempt: int
    phase: Literal["waiting", "started", "ended"]
    """waiting: for machines, or for an earlier trainer to leave the folder; started: it trains."""
    reason: str | None = None
    """What it waits for, or how it ended, for a person."""
    exit_code: int | None = None
    """ended: the trainer's, negative for a signal; None if it never ran."""
    preempted: bool = False
    """ended: its machines were taken away."""


def read_note(run_dir: Path, attempt: int) -> DriverNote | None:
    """What the driver of that attempt said last; None if it has said nothing."""
    try:
        note = DriverNote.model_validate_json(_note_path(run_dir).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return note if note.attempt == attempt else None


def write_note(run_dir: Path, note: DriverNote) -> None:
    """Replace driver.json whole; raises OSError."""
    replace_whole(_note_path(run_dir), note.model_dump_json())


def kill_path(run_dir: Path, attempt: int) -> Path:
    """Once this file is there, the driver of that attempt ends everything at once."""
    return run_dir / f"kill-{attempt}"


def _note_path(run_dir: Path) -> Path:
    return run_dir / "driver.json"
