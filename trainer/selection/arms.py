"""What is chosen among: base models by prompt templates by temperatures."""

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from service.errors import InvalidRequest
from service.jobs.spec import RunRequest
from trainer.context import Policy

_UNFIT = re.compile(r"[^A-Za-z0-9.+-]+")
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Arm:
    """One combination; `number` counts from 0, in the order of the settings."""

    number: int
    base_model: str
    path: Path
    template: str
    temperature: float
    parent: Path | None = None
    """Checkpoint of another run that the job starts from."""

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.base_model}, {self.template}, temperature {self.temperature:g}"

    @property
    def file_name(self) -> str:
        """Of its answers."""
        model = _UNFIT.sub("-", self.base_model)[-_LONGEST_NAME:]
        return f"{self.number:03d}_{model}_{self.template}_{self.temperature:g}.jsonl"

    @property
    def policy(self) -> Policy:
        """What the run goes on with if this arm wins."""
        return Policy(
            base_model=self.base_model,
            base_model_path=self.path,
            template=self.template,
            temperature=self.temperature,
            parent=self.parent,
        )


def arms_of(request: RunRequest) -> list[Arm]:
    """All combinations, the job's own base model first.

    Raises InvalidRequest without a folder, or where a job that starts from a checkpoint would
    choose among base models: the checkpoint belongs to one.
    """
    chosen = request.spec.hyperparameters.select
    models = {request.spec.base_model: request.base_model_path}
    for name in chosen.base_models:
        if name not in models and name not in request.other_models:
            raise InvalidRequest(
                f"job.json names no folder for the base model {name!r} of select; known: "
                f"{', '.join(sorted(request.other_models)) or 'none'}",
                param="hyperparameters.select.base_models",
            )
        models.setdefault(name, request.other_models.get(name, request.base_model_path))
    parent = request.parent_adapter_path
    if parent and len(models) > 1:
        raise InvalidRequest(
            f"the job starts from {parent}, which belongs to {request.spec.base_model}: leave "
            f"select.base_models empty, not {chosen.base_models}",
            param="hyperparameters.select.base_models",
        )
    templates, temperatures = dict.fromkeys(chosen.templates), dict.fromkeys(chosen.temperatures)
    every = product(models.items(), templates, temperatures)
    return [
        Arm(n, name, path, template, temperature, parent)
        for n, ((name, path), template, temperature) in enumerate(every)
    ]
