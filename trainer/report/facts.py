"""Everything that a run has left on disk, read once; a part that is missing or torn is empty."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import Hyperparameters, RunRequest, Stage

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """One run; rows are those of the files of the same name."""

    path: Path
    request: RunRequest
    status: RunStatus
    metrics: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    rollouts: list[Row] = field(default_factory=list)
    stages: dict[str, Row] = field(default_factory=dict)
    """Those that have ended, in order: the content of `stages/<stage>.json`."""
    manifests: dict[int, Row] = field(default_factory=dict)
    """Of checkpoints, by number, ascending."""

    @property
    def settings(self) -> Hyperparameters:
        """Those of all stages."""
        return self.request.spec.hyperparameters

    def numbers(self, stage: str) -> Row:
        """What a stage has measured; empty if it has not ended."""
        return _row(self.stages.get(stage, {}).get("numbers"))

    def by_stage(self) -> dict[str, list[Row]]:
        """Rows of metrics that are numbered, by stage, in order; a row without one is grpo's."""
        found: dict[str, list[Row]] = {}
        for row in self.metrics:
            if isinstance(row.get("step"), int):
                found.setdefault(str(row.get("stage") or "grpo"), []).append(row)
        return found


def read_facts(run: RunDir) -> Facts:
    """Raises InvalidRequest if the folder is no run or its job.json cannot be read."""
    request = _request(run)
    stages = {name: read_json(run.path / "stages" / f"{name}.json") for name in get_args(Stage)}
    return Facts(
        path=run.path,
        request=request,
        status=_status(run),
        metrics=run.metrics(),
        events=run.events(),
        rollouts=list(read_lines(run.path / "rollouts.jsonl")),
        stages={stage: found for stage, found in stages.items() if found},
        manifests={n: read_json(_manifest(run, n)) for n in run.checkpoints()},
    )


def read_json(path: Path) -> Row:
    """The object in a file; empty if there is none."""
    try:
        return _row(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return {}


def read_lines(path: Path) -> Iterator[Row]:
    """The objects of a JSON-lines file, one at a time; a torn line is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row


def rows_of(value: Any) -> list[Row]:
    """The objects of a list; none of anything else."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _manifest(run: RunDir, number: int) -> Path:
    return run.checkpoints_path / f"step_{number}" / "manifest.json"


def _request(run: RunDir) -> RunRequest:
    try:
        return run.request()
    except FileNotFoundError as error:
        raise InvalidRequest(f"{run.path} holds no run: job.json is missing") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(f"{run.path}: job.json: {where}: {first['msg']}") from error


def _status(run: RunDir) -> RunStatus:
    try:
        return run.status() or RunStatus()
    except ValidationError:
        return RunStatus()


def _row(value: Any) -> Row:
    return value if isinstance(value, dict) else {}
