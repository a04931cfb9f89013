"""Behaves like a trainer whose recipe ends with an evaluation, in milliseconds.

python -m tests.tiny_demo_trainer ACT --run-dir DIR: `succeed`, `fail`, `die`, or `once`, which
stops as if by a signal the first time and succeeds the second.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir, RunError, RunStatus

RIGHT = {"base": 1, "offline": 4, "grpo": 9}


def _point(stage: str, judged: int) -> dict[str, Any]:
    right = RIGHT[stage]
    accuracy = {"right": right, "judged": judged, "interval_95": [0.01, 0.9]}
    row = {"name": stage, "stage": stage, "accuracy": {"bird_ex": accuracy}}
    paired = {"difference": (right - 1) / judged, "interval_95": [0.1, 0.5]}
    return row if stage == "base" else row | {"to_base": {"bird_ex": paired}}


def evaluate(run: RunDir) -> None:
    """Write what the stage evaluate leaves, and a report."""
    judged = len(json.loads(Path(run.request().spec.dev_data or "").read_bytes()))
    numbers = {"metric": "bird_ex", "points": [_point(stage, judged) for stage in RIGHT]}
    path = run.path / "stages" / "evaluate.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"stage": "evaluate", "numbers": numbers}))
    (run.path / "report.html").write_text("<html>")


def main() -> int:
    """One life of the trainer."""
    act, _, folder = sys.argv[1:]
    run = RunDir(Path(folder))
    with (run.path / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    if act == "die":
        return 9
    if act == "fail":
        error = RunError(code="no_training_rows", message="every question was left out")
        run.write_status(RunStatus(state="failed", error=error))
        return 1
    if act == "once" and len((run.path / "starts").read_text().split()) == 1:
        run.write_status(RunStatus(state="cancelled"))
        return 0
    evaluate(run)
    run.write_status(RunStatus(state="succeeded"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
