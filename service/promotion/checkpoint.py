"""A job's checkpoint as something that can be served: its files, its lineage, its dev questions.

Blocks on files.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.demo import questions_path
from service.errors import Conflict, InvalidRequest, UnknownCheckpoint, UnsupportedValue
from service.jobs.job import Job
from service.jobs.rundir import RunDir
from service.text2sql.evaluation.choose import of_databases, stratified
from service.text2sql.questions import Question, read_questions

_FROM_MANIFEST = (
    "stage",
    "seed",
    "base_weights_sha256",
    "parent_weights_sha256",
    "prompt_templates",
    "verifier_version",
    "created_at",
)
"""What a checkpoint's manifest says that a lineage repeats as it is."""
_MOST_FILES = 16
"""Of a dataset, named one by one."""


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """One complete checkpoint of a job."""

    job: Job
    step: int

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return RunDir(self.job.run_dir).checkpoints_path / f"step_{self.step}"

    @property
    def default_name(self) -> str:
        """What it is called as a model where nobody says."""
        return f"{self.job.id}-step-{self.step}".lower()

    def lineage(self) -> dict[str, Any]:
        """Job, spec, data, base and metrics, each by hash where there is one."""
        manifest = _manifest(self.folder)
        spec = self.job.spec
        return {
            "job_id": self.job.id,
            "job_name": spec.name,
            "step": self.step,
            "spec_sha256": self.job.spec_sha256,
            "recipe": list(spec.recipe),
            "base_model": manifest.get("base_model", spec.base_model),
            "parent": spec.parent.model_dump() if spec.parent else None,
            **{name: manifest.get(name) for name in _FROM_MANIFEST},
            **{split: _bounded(manifest.get(split)) for split in ("train_data", "dev_data")},
            "metrics": (manifest.get("metrics") or {}) | self._metrics(),
        }

    def _metrics(self) -> dict[str, Any]:
        """What the run has measured of this step since: on dev, for instance."""
        every = RunDir(self.job.run_dir).checkpoint_list()
        return next((dict(one.metrics) for one in every if one.step == self.step), {})

    def dev_questions(self, count: int) -> tuple[str, list[Question]]:
        """`count` of dev, drawn by the job's seed, and in words where they are from.

        A job without dev data is held to the demonstration's questions. Raises InvalidRequest where
        dev is gone.
        """
        spec = self.job.spec
        said = spec.dev_data or ("demo, its training data" if spec.train_data == "demo" else "demo")
        if not count:
            return said, []
        found = read_questions(self._dev_path(), "dev")
        drawn = stratified(of_databases(found, []), count, spec.seed)
        return said, [question for _, question in drawn]

    def _dev_path(self) -> Path:
        try:
            path = RunDir(self.job.run_dir).request().dev_data_path
        except (OSError, ValueError) as error:
            raise InvalidRequest(
                f"the run folder of {self.job.id} has no job.json that can be read: what its dev "
                "questions are is not known; `questions` 0 asks none",
                param="questions",
            ) from error
        return path or questions_path()


def find_checkpoint(job: Job, step: int) -> JobCheckpoint:
    """Raises UnknownCheckpoint, Conflict for a job without files, UnsupportedValue for weights."""
    if job.gone_at is not None:
        raise Conflict(f"the run folder of {job.id} was removed, its checkpoints with it")
    steps = RunDir(job.run_dir).checkpoints()
    if step not in steps:
        known = ", ".join(map(str, steps)) or "none"
        raise UnknownCheckpoint(
            f"{job.id} has no checkpoint of step {step}; it has: {known}", param="step"
        )
    if job.spec.hyperparameters.lora_rank == 0:
        raise UnsupportedValue(
            f"step {step} of {job.id} holds all weights (lora_rank 0): only an adapter goes live "
            "without a restart; serve these with VERISQL_MODEL=<its folder>",
            param="step",
        )
    return JobCheckpoint(job, step)


def _bounded(files: Any) -> Any:
    """Hashes by file; of many files the hash of the list, so that a lineage stays short."""
    if not isinstance(files, dict) or len(files) <= _MOST_FILES:
        return files
    listed = json.dumps(files, sort_keys=True).encode()
    return {f"{len(files)} files": hashlib.sha256(listed).hexdigest()}


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"{folder.name} has no manifest.json that can be read: its origin is not known",
            param="step",
        ) from error
    if not isinstance(found, dict):
        raise InvalidRequest(f"{folder.name}/manifest.json is no JSON object", param="step")
    return found
