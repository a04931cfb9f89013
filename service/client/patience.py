"""Whether to try again, and after which pause."""

import random

from service.client.errors import ServiceError
from service.client.options import Options

_PASSING_CODES = frozenset({"unreachable", "broken_connection", "timeout"})
_PASSING_STATUSES = frozenset({502, 503, 504})
_LASTING_CODES = frozenset({"engine_off"})  # 503, but no model will ever be there
_CHANCE = random.SystemRandom()  # a generator with a state would be the same in forked processes


class Patience:
    """Of one request that is sent until it succeeds, at the latest until `until` (loop time, s)."""

    def __init__(self, options: Options, until: float) -> None:
        self._options = options
        self._until = until
        self._failures = 0

    def progress(self) -> None:
        """Something came: the count of failures in a row starts anew."""
        self._failures = 0

    def pause_s(self, error: ServiceError, now: float) -> float:
        """Seconds to wait before the next try.

        Raises the error itself where trying again is of no use or has been tried often enough (a
        busy service, 503, is asked as long as there is time), and `deadline_exceeded` where the
        next try would come too late.
        """
        passing = error.code in _PASSING_CODES or error.status in _PASSING_STATUSES
        if not passing or error.code in _LASTING_CODES:
            raise error
        self._failures += 1
        if error.status != 503 and self._failures >= self._options.tries:
            raise error
        pause = (error.retry_after_s or 0.0) + backoff_s(self._options, self._failures)
        if now + pause >= self._until:
            raise out_of_time(self._options.deadline_s, error) from error
        return pause


def backoff_s(options: Options, failures: int) -> float:
    """Doubled with each failure (1 or more), up to the longest; half of it random."""
    doubled = options.first_pause_s * 2.0 ** min(failures - 1, 60)
    return min(options.longest_pause_s, doubled) * _CHANCE.uniform(0.5, 1.0)


def out_of_time(deadline_s: float, last: ServiceError | None = None) -> ServiceError:
    """The call's own time is over; `last` is what went wrong before."""
    why = f"; last: {last.code}, {last}" if last else ""
    message = f"not done within {deadline_s:g} s{why}"
    status = last.status if last else None
    return ServiceError("deadline_exceeded", message, status=status)
