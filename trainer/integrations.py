"""Metrics to MLflow, TensorBoard or Weights & Biases, through transformers' own callbacks.

The packages are the user's to install. Where they send to is theirs to say in their own variables
(MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, WANDB_API_KEY, WANDB_PROJECT, WANDB_MODE).
"""

import importlib.util
import json
import os
from collections.abc import Sequence
from typing import Any

from service.jobs.rundir import RunDir
from service.jobs.spec import Integration, RunRequest, Stage
from trainer.errors import IntegrationMissing
from trainer.scale.ranks import is_main

_MODULES: dict[Integration, tuple[str, ...]] = {
    "mlflow": ("mlflow",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
}
"""Any one of them will do; the first is what the error names."""
_LONGEST_TAG = 64
"""Characters that Weights & Biases takes."""


def check_integrations(names: Sequence[Integration]) -> None:
    """Raise IntegrationMissing for the first whose package is not installed; imports nothing."""
    for name in names:
        if not any(importlib.util.find_spec(module) for module in _MODULES[name]):
            package = _MODULES[name][0]
            raise IntegrationMissing(
                f"integrations has {name!r}, and the package {package} is not installed here: "
                f"pip install {package}, or leave {name!r} out",
                param="hyperparameters.integrations",
            )


def reporting(run: RunDir, request: RunRequest, stage: Stage) -> dict[str, Any]:
    """`report_to` and `run_name` for TrainingArguments; every stage is a run of its own, told of
    by the first of several processes.

    Sets the variables by which those callbacks learn tags and TensorBoard's folder
    (`tensorboard/<stage>` in the run's folder). Raises IntegrationMissing.
    """
    names = list(dict.fromkeys(request.spec.hyperparameters.integrations)) if is_main() else []
    check_integrations(names)
    told = tags(request, stage)
    if "tensorboard" in names:
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.path / "tensorboard" / stage)
    if "mlflow" in names:
        os.environ["MLFLOW_TAGS"] = json.dumps(told)
    if "wandb" in names:
        pairs = (f"{name}:{value}".replace(",", " ") for name, value in told.items())
        os.environ["WANDB_TAGS"] = ",".join(pair[:_LONGEST_TAG] for pair in pairs)
        os.environ.setdefault("WANDB_DIR", str(run.path))
    return {"report_to": names or "none", "run_name": f"{request.spec.name}-{stage}"}


def tags(request: RunRequest, stage: Stage) -> dict[str, str]:
    """What a run can be found by; the job's own metadata among it, never in the place of ours."""
    ours = {
        "job": request.job_id,
        "stage": stage,
        "base_model": request.spec.base_model,
        "seed": str(request.spec.seed),
    }
    return request.spec.metadata | ours
