"""Why a training run can fail by itself; other failures are classes of service/errors.py.

VeriSQLError
  NoTrainingRows       no_training_rows      every question was left out
  TrainingDiverged     training_diverged     loss or gradient is no number any more
"""

from service.errors import VeriSQLError


class NoTrainingRows(VeriSQLError):
    """No question of the training data can be used; the message counts the reasons."""

    code = "no_training_rows"
    http_status = 422


class TrainingDiverged(VeriSQLError):
    """Loss or gradient became infinite or undefined; the last checkpoint is from before."""

    code = "training_diverged"
