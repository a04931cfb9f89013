"""What a trainer takes out of a result."""

from service.client.errors import ServiceError
from service.client.wire import Result


def rewards(result: Result, count: int | None = None) -> list[float | None]:
    """One reward for each prediction, in order; None where it is masked: leave that sample out.

    An item that ended as an error gives `count` times None, and raises ServiceError without a
    count.
    """
    if "error" not in result:
        return [verdict["reward"] for verdict in result["verdicts"]]
    if count is not None:
        return [None] * count
    error = result["error"]
    raise ServiceError(
        error["code"], error["message"], param=error["param"], request_id=error["request_id"]
    )
