"""Checkpoints: complete or absent; what a run does first when it finds some.

checkpoints/step_N/   adapter (or full weights), tokenizer, optimizer, scheduler, random states,
                      trainer_state.json, manifest.json
checkpoints/.partial/ what is being written; whatever lies there at a start is left from a crash
"""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir, RunStatus

_UNWANTED = ("training_args.bin", "README.md")
"""The settings as a pickle, which nothing here reads and which runs code when it is loaded; and
peft's model card, a form with nothing filled in (manifest.json says what this is)."""


class CheckpointKeeper:
    """Turns what was written under a temporary name into a checkpoint.

    Steps are counted from the stage's beginning; checkpoints are numbered through all stages, so
    `offset` is what earlier stages did. Only the newest `keep` of the stage stay, if that is given:
    those of earlier stages are not touched, nor is the one that status.json calls the best.
    """

    def __init__(
        self, run: RunDir, about: dict[str, Any], *, offset: int = 0, keep: int | None = None
    ) -> None:
        self._run = run
        self._about = about
        self._offset = offset
        self._keep = keep

    def has(self, step: int) -> bool:
        """True if that step has a complete checkpoint; step 0 is what the stage began with."""
        return step == 0 or self._offset + step in self._run.checkpoints()

    def publish(self, written: Path, step: int, metrics: dict[str, Any]) -> Path:
        """Complete a written folder with its manifest and rename it to `step_N`.

        The files are on disk before the name is: not even a power cut leaves half a checkpoint.
        """
        number = self._offset + step
        for name in _UNWANTED:
            (written / name).unlink(missing_ok=True)
        manifest = {"step": number, "created_at": time.time(), **self._about, "metrics": metrics}
        (written / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        for path in [*written.rglob("*"), written]:
            _sync(path)
        published = self._run.checkpoints_path / f"step_{number}"
        written.rename(published)
        _sync(self._run.checkpoints_path)
        self._run.append_event("info", "checkpoint", f"checkpoint of step {number}", step=number)
        self._prune()
        return published

    def warn(self, message: str) -> None:
        """Tell of what is missing in a checkpoint that is whole otherwise."""
        self._run.append_event("warning", "checkpoint", message)

    def _prune(self) -> None:
        if self._keep is None:
            return
        best = (self._run.status() or RunStatus()).best_checkpoint
        ours = sorted(n for n in self._run.checkpoints() if n > self._offset)
        for number in ours[: -self._keep]:
            if number == best:
                continue
            old = self._run.checkpoints_path / f"step_{number}"
            # Under another name first: a checkpoint is complete or absent, also while it goes.
            gone = old.rename(partial_path(self._run) / f"gone_{number}")
            shutil.rmtree(gone)


def partial_path(run: RunDir) -> Path:
    """Folder of unfinished checkpoints; its name is none that RunDir.checkpoints finds."""
    return run.checkpoints_path / ".partial"


def rewind(run: RunDir) -> int:
    """Put the run back to its newest complete checkpoint and return that step, 0 if there is none.

    Unfinished checkpoints are removed, and steps after the checkpoint, which will be done again,
    are cut from metrics.jsonl and rollouts.jsonl, so that no step is counted twice.
    """
    shutil.rmtree(partial_path(run), ignore_errors=True)
    step = max(run.checkpoints(), default=0)
    run.keep_steps(step)
    return step


def weights_sha256(folder: Path) -> str:
    """One hash over the names and bytes of a model's safetensors files."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.name} {digest}\n".encode())
    return total.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
