"""Why a run can fail by itself; all else that it raises on purpose is in service/errors.py.

    RunFailed
      NoTrainingRows       no_training_rows      every question was left out
      TrainingRowsChanged  training_rows_changed a resumed run's questions are gone or others
      DevLeaksIntoTrain    dev_leaks_into_train  dev measures what was trained on
      TrainingDiverged     training_diverged     loss or gradient is no number any more
      IntegrationMissing   integration_missing   MLflow, TensorBoard or W&B is not installed
      ExportRefused        export_refused        no such checkpoint, or a folder in the way
      ModelUnsupported     model_unsupported     its prompts cannot be shared among completions
      VerifierAway         verifier_away         the service of verify_url gives no verdicts
      VerifierRefused      verifier_refused      it will not judge for this run
      VerifierDiffers      verifier_differs      it would judge otherwise than this run

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


class TrainingRowsChanged(RunFailed):
    """A resumed run cannot go on in the same order: questions are gone, or are others by now."""

    code = "training_rows_changed"


class DevLeaksIntoTrain(RunFailed):
    """Train and dev share databases or questions; the message names them."""

    code = "dev_leaks_into_train"


class TrainingDiverged(RunFailed):
    """Loss or gradient became infinite or undefined; the last checkpoint is from before."""

    code = "training_diverged"


class IntegrationMissing(RunFailed):
    """The package that an integration needs is not installed; the message names the command."""

    code = "integration_missing"


class ExportRefused(RunFailed):
    """What was asked for cannot be made from that run, or would overwrite a folder."""

    code = "export_refused"


class ModelUnsupported(RunFailed):
    """The model's attention is of a kind that trainer/shared_prompt would get wrong."""

    code = "model_unsupported"


class VerifierAway(RunFailed):
    """No verdict came for `verify_patience_s`; the message names the service."""

    code = "verifier_away"


class VerifierRefused(RunFailed):
    """The service knows no such key, database or call; the message has its words."""

    code = "verifier_refused"


class VerifierDiffers(RunFailed):
    """The service has another version of the verifier, or another file of that database."""

    code = "verifier_differs"
