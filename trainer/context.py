"""What a stage is given, and what it leaves for those after it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from service.jobs.rundir import RunDir
from service.jobs.spec import Hyperparameters, RunRequest, Stage
from service.text2sql.prompt import Template
from service.text2sql.values.index import ValueIndexes
from trainer.stopping import Stopper
from trainer.verdict_source import VerdictSource
from trainer.verifier_thread import VerifierThread

_PATIENCE_S = 600.0
"""Prompts must not depend on how fast an index is made."""


class Policy(BaseModel):
    """A model and the prompt that goes with it."""

    base_model: str
    base_model_path: Path
    template: str
    parent: Path | None = None
    """Checkpoint of another run that this one starts from; None is the base model."""
    checkpoint: int | None = None
    """Number of the run's own checkpoint that was trained last; None is where the run began."""
    temperature: float = 0.0
    """Of the decoding that `select` found best; evaluation stays greedy."""

    def weights_in(self, run: RunDir) -> Path | None:
        """Folder of its weights, a checkpoint of `run` or the parent; None is the base model."""
        if self.checkpoint is None:
            return self.parent
        return run.checkpoints_path / f"step_{self.checkpoint}"


class StageResult(BaseModel):
    """`stages/<stage>.json`: written whole when the stage has ended."""

    stage: Stage
    policy: Policy
    """Where the next stage goes on."""
    steps: int
    """Optimiser steps of all stages so far: checkpoints and metrics are numbered through."""
    seconds: float = 0.0
    numbers: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Context:
    """One stage's surroundings; stages read it and change nothing in it."""

    run: RunDir
    request: RunRequest
    verifier: VerifierThread
    stopper: Stopper
    policy: Policy
    steps: int
    """Done by earlier stages."""
    results: dict[str, StageResult] = field(default_factory=dict)
    """Of earlier stages, by name."""
    verdicts: VerdictSource | None = None
    """Where those come from that are trained on; None is `verifier`."""

    @property
    def judge(self) -> VerdictSource:
        """Of the completions that are trained on; golds and dev are for `verifier`."""
        return self.verdicts or self.verifier

    @property
    def settings(self) -> Hyperparameters:
        """Those of all stages."""
        return self.request.spec.hyperparameters

    @property
    def template(self) -> Template:
        """Of the policy's prompts."""
        return Template.parse(self.policy.template)

    @property
    def adapter_path(self) -> Path | None:
        """Folder of the policy's checkpoint; None is the base model."""
        return self.policy.weights_in(self.run)

    def value_indexes(self) -> ValueIndexes | None:
        """What finds the values that questions name; None where the prompts go without."""
        if not self.settings.values:
            return None
        home = self.request.values_path or self.run.path / "values"
        return ValueIndexes(home, home / "indexes", wait_s=_PATIENCE_S)

    def folder(self, stage: Stage) -> Path:
        """Where a stage keeps its own files; made if it is not there."""
        path = self.run.path / "stages" / stage
        path.mkdir(parents=True, exist_ok=True)
        return path
