"""What goes wrong between a caller and the service, as one exception."""


class ServiceError(Exception):
    """The service refused, failed, or could not be reached; the message is for people.

    code         the stable code of the error body, or one of ours: `unreachable` (no connection),
                 `broken_connection` (it ended too early), `timeout` (nothing came for too long),
                 `deadline_exceeded` (the call's own time is over), `bad_answer` (not our protocol)
    status       HTTP status, None where there was no answer
    param        the field at fault, as a path
    request_id   what the service's log has it under
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s
