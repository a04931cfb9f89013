"""Every error that VeriSQL raises on purpose, one class and one stable code each.

    VeriSQLError                    internal_error          500
      InvalidRequest                invalid_request         422  a field is wrong: param names it
        UnsupportedValue            unsupported_value       422  right kind, but not offered here
        SqlRejected                 sql_rejected            422  SQL of feedback that does not run
        AdapterRejected             adapter_rejected        422  files that cannot be served
        TooLarge                    too_large               413
      NotFound                      not_found               404
        UnknownDatabase             unknown_database        404
        UnknownJob                  unknown_job             404
        UnknownCheckpoint           unknown_checkpoint      404
        UnknownDataset              unknown_dataset         422
        UnknownModel                unknown_model           404
        UnknownAnswer               unknown_answer          404  or no longer remembered
        UnknownVerifiedQuery        unknown_verified_query  404
      Unauthorized                  unauthorized            401
      Conflict                      conflict                409
        InvalidTransition           invalid_transition      409
        FeedbackOff                 feedback_off            409
        AdaptersOff                 adapters_off            409  the model server takes none
        ActivationInProgress        activation_in_progress  409
        CanaryFailed                canary_failed           409  the live model is unchanged
        ModelInUse                  model_in_use            409  it is live
      DatabaseUnusable              database_unusable       422  missing, corrupt or not SQLite
      ModelUnavailable              model_unavailable       422  no source has these weights
      NoDiskSpace                   no_disk_space           507
      Unavailable                   unavailable             503  try again after retry_after_s
        NoFreeWorker                no_free_worker          503
        EngineOff                   engine_off              503
        EngineUnavailable           engine_unavailable      503
        EngineTimeout               engine_timeout          504
        AnswerTimeout               answer_timeout          504
      EngineRefused                 engine_refused          502
      LauncherRefused               launcher_refused        502  a cluster will not run the job
      SettingsError                 invalid_settings        500  raised at start only

A wrong prediction is never an error: it is a verdict (text2sql/types.py). To add an error, add a
class here with a code that no other has, a line above, and a row in docs/api.md; a test compares.
"""

from typing import ClassVar


class VeriSQLError(Exception):
    """Base of all; `message` tells a person the wrong value and what would be right."""

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(VeriSQLError):
    """A field is missing, unknown, malformed or out of bounds."""

    code = "invalid_request"
    http_status = 422


class UnsupportedValue(InvalidRequest):
    """The value is of the right kind, but this version or machine does not offer it."""

    code = "unsupported_value"


class SqlRejected(InvalidRequest):
    """The SQL of feedback does not run on the database; the message is the engine's."""

    code = "sql_rejected"


class AdapterRejected(InvalidRequest):
    """The adapter's files are faulty, or do not fit the served model."""

    code = "adapter_rejected"


class TooLarge(InvalidRequest):
    """The request is over a size limit of the server."""

    code = "too_large"
    http_status = 413


class NotFound(VeriSQLError):
    """Nothing is known under that name."""

    code = "not_found"
    http_status = 404


class UnknownDatabase(NotFound):
    """No registered database has that db_id."""

    code = "unknown_database"


class UnknownJob(NotFound):
    """No training job has that id."""

    code = "unknown_job"


class UnknownCheckpoint(NotFound):
    """The training job has no complete checkpoint of that step."""

    code = "unknown_checkpoint"


class UnknownDataset(NotFound):
    """No dataset is found under that name."""

    code = "unknown_dataset"
    http_status = 422


class UnknownModel(NotFound):
    """No model or adapter has that name."""

    code = "unknown_model"


class UnknownAnswer(NotFound):
    """No answer is remembered under that request id."""

    code = "unknown_answer"


class UnknownVerifiedQuery(NotFound):
    """No verified query has that id."""

    code = "unknown_verified_query"


class Unauthorized(VeriSQLError):
    """The API key is missing or wrong."""

    code = "unauthorized"
    http_status = 401


class Conflict(VeriSQLError):
    """The request contradicts what is already there."""

    code = "conflict"
    http_status = 409


class InvalidTransition(Conflict):
    """The job's state does not allow that action."""

    code = "invalid_transition"


class FeedbackOff(Conflict):
    """The service remembers no answers (VERISQL_KEEP_ANSWERS=0)."""

    code = "feedback_off"


class AdaptersOff(Conflict):
    """The model server takes no adapters (VERISQL_ADAPTERS, or how the server was started)."""

    code = "adapters_off"


class ActivationInProgress(Conflict):
    """Another model is being tried."""

    code = "activation_in_progress"


class CanaryFailed(Conflict):
    """The model was tried and found wanting."""

    code = "canary_failed"


class ModelInUse(Conflict):
    """The live model cannot be forgotten."""

    code = "model_in_use"


class DatabaseUnusable(VeriSQLError):
    """The database file is missing, corrupt, not SQLite or not at rest."""

    code = "database_unusable"
    http_status = 422


class ModelUnavailable(VeriSQLError):
    """No source has the model's weights, or they fail their checksum."""

    code = "model_unavailable"
    http_status = 422


class NoDiskSpace(VeriSQLError):
    """The disk that holds VERISQL_HOME is full."""

    code = "no_disk_space"
    http_status = 507


class Unavailable(VeriSQLError):
    """Not now; trying again later may work."""

    code = "unavailable"
    http_status = 503


class NoFreeWorker(Unavailable):
    """Every worker is busy and the queue is full."""

    code = "no_free_worker"


class EngineOff(Unavailable):
    """The service runs without a model (VERISQL_ENGINE=off)."""

    code = "engine_off"


class EngineUnavailable(Unavailable):
    """The model server is starting, restarting or unreachable."""

    code = "engine_unavailable"


class EngineTimeout(Unavailable):
    """The model server did not answer in time."""

    code = "engine_timeout"
    http_status = 504


class AnswerTimeout(Unavailable):
    """The time for one question as a whole was over."""

    code = "answer_timeout"
    http_status = 504


class EngineRefused(VeriSQLError):
    """The model server will not do what it was asked, and asking again is no use."""

    code = "engine_refused"
    http_status = 502


class LauncherRefused(VeriSQLError):
    """The place where a job is to run will not take it, and asking again is no use."""

    code = "launcher_refused"
    http_status = 502


class SettingsError(VeriSQLError):
    """A setting is wrong or contradicts another; the message names the variable."""

    code = "invalid_settings"
