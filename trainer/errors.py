"""Why a run can fail by itself; all else that it raises on purpose is in service/errors.py.

    RunFailed
      NoTrainingRows       no_training_rows      every question was left out
      TrainingDiverged     training_diverged     loss or gradient is no number any more
      ModelUnsupported     model_unsupported     its prompts cannot be shared among completions

These are never answers to a request: they end up in status.json and so in the job's `error`.
"""

from typing import ClassVar


class RunFailed(Exception):
    """Base; `code`, `message` and `param` are those of the job's error."""

    code: ClassVar[str]

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class NoTrainingRows(RunFailed):
    """No question of the training data can be used; the message counts the reasons."""

    code = "no_training_rows"


class TrainingDiverged(RunFailed):
    """Loss or gradient became infinite or undefined; the last checkpoint is from before."""

    code = "training_diverged"


class ModelUnsupported(RunFailed):
    """The model's attention is of a kind that trainer/shared_prompt would get wrong."""

    code = "model_unsupported"
