"""The time that an item of a task may take: what it had of the processor decides, not the clock.

An item that had its time limit on the processor is slow. One that did not, and ends by the clock
since others kept it from the processor (or a disk did), is nobody's fault: it says nothing.
"""

import time
from collections.abc import Callable

from service.sandbox.limits import by_clock_s


class Allowance:
    """Starts now, for a worker that has used `cpu_s` seconds so far.

    `limit_s` gives the limit of the item that is running, seconds; it is asked for again and again,
    since one wait may see several items.
    """

    def __init__(self, limit_s: Callable[[], float], cpu_s: float) -> None:
        self._limit_s = limit_s
        self._since = time.monotonic()
        self._since_cpu_s = cpu_s

    def left_s(self, cpu_s: float) -> float:
        """Seconds to wait before it is worth looking again; none are left at 0 and below."""
        limit_s = self._limit_s()
        on_the_clock_s = self._since + by_clock_s(limit_s) - time.monotonic()
        return min(self._since_cpu_s + limit_s - cpu_s, on_the_clock_s)

    def had(self, cpu_s: float) -> bool:
        """The item had its whole limit on the processor."""
        return cpu_s - self._since_cpu_s >= self._limit_s()

    def starves(self, cpu_s: float) -> bool:
        """At the pace so far it will not have had its limit when its time by the clock is over."""
        limit_s, elapsed_s = self._limit_s(), time.monotonic() - self._since
        return (cpu_s - self._since_cpu_s) * by_clock_s(limit_s) < elapsed_s * limit_s
