"""The time that an item of a task may take: what it had of the processor decides, not the clock.

An item that had its time limit on the processor is slow. One that did not, and ends by the clock
since others kept it from the processor (other statements too, or a disk), says nothing of itself.
"""

import time

from service.sandbox.limits import by_clock_s

_SOON_S, _SOON_SHARE = 0.25, 0.1


class Allowance:
    """Starts now, for a worker that has used `cpu_s` seconds of the processor so far.

    The limit of what is running is given anew each time: one wait may see several items.
    """

    def __init__(self, cpu_s: float) -> None:
        self._since = time.monotonic()
        self._since_cpu_s = cpu_s

    def used_s(self, cpu_s: float) -> float:
        """What it had of the processor, seconds."""
        return cpu_s - self._since_cpu_s

    def had(self, limit_s: float, cpu_s: float) -> bool:
        """It had its whole limit on the processor."""
        return self.used_s(cpu_s) >= limit_s

    def over(self, limit_s: float, cpu_s: float) -> bool:
        """Its time has ended, on the processor or by the clock."""
        return self.had(limit_s, cpu_s) or self._elapsed_s >= by_clock_s(limit_s)

    def late(self, limit_s: float) -> bool:
        """By the clock it takes longer than its limit."""
        return self._elapsed_s > limit_s

    def starves(self, limit_s: float, cpu_s: float) -> bool:
        """At the pace so far it will not have had its limit when its time by the clock is over,
        which it still can."""
        used_s, elapsed_s, longest_s = self.used_s(cpu_s), self._elapsed_s, by_clock_s(limit_s)
        too_soon = elapsed_s < max(_SOON_S, _SOON_SHARE * limit_s)
        too_late = limit_s - used_s > longest_s - elapsed_s
        return not (too_soon or too_late) and used_s * longest_s < elapsed_s * limit_s

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._since
