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
CONTROL = {"base": 1, "parent": 4, "offline": 8}
STEPS = {"offline": 60, "grpo": 100}


def _paired(won: int, judged: int) -> dict[str, Any]:
    return {"bird_ex": {"difference": won / judged, "interval_95": [0.1, 0.5]}}


def _points(right: dict[str, int], judged: int) -> list[dict[str, Any]]:
    rows, before = [], right["base"]
    for stage, count in right.items():
        accuracy = {"right": count, "judged": judged, "interval_95": [0.01, 0.9]}
        row: dict[str, Any] = {"name": stage, "stage": stage, "accuracy": {"bird_ex": accuracy}}
        if stage != "base":
            row["to_base"] = _paired(count - right["base"], judged)
            row["to_stage_start"] = _paired(count - before, judged)
        rows.append(row)
        before = count
    return rows


def evaluate(run: RunDir) -> None:
    """Write what the stages leave, and a report."""
    request = run.request()
    judged = len(json.loads(Path(request.spec.dev_data or "").read_bytes()))
    right = CONTROL if request.parent_adapter_path else RIGHT
    stages = run.path / "stages"
    stages.mkdir(exist_ok=True)
    for stage, steps in STEPS.items():
        (stages / f"{stage}.json").write_text(json.dumps({"stage": stage, "steps": steps}))
    for name in () if request.parent_adapter_path else ("base", "offline_step_60", "grpo_step_100"):
        (stages / "evaluate" / name).mkdir(parents=True)
        (stages / "evaluate" / name / "questions.jsonl").write_text(name)
    numbers = {"metric": "bird_ex", "points": _points(right, judged)}
    (stages / "evaluate.json").write_text(json.dumps({"stage": "evaluate", "numbers": numbers}))
    (run.path / "report.html").write_text("<html>")


def main() -> int:
    """One life of the trainer."""
    act, _, folder = sys.argv[1:]
    run = RunDir(Path(folder))
    with (run.path / "starts").open("a") as file:
        file.write(f"{os.environ['GOMP_SPINCOUNT']}\n")
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
