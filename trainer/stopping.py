"""SIGTERM and SIGINT become an exception, but only where the training state is whole."""

import signal
from types import FrameType


class StopRequested(BaseException):
    """Someone asked the run to end; not an Exception, so that no library swallows it."""


class Stopper:
    """Raises StopRequested in the main thread at the first signal, or as soon as it may.

    While weights and files change, signals are only noted (`defer`); the next `allow` raises. Once
    a stop was asked for, further signals change nothing: the run is ending already.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferring = False

    def install(self) -> None:
        """Take over SIGTERM and SIGINT; call it in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def defer(self) -> None:
        """From here on a signal is only noted."""
        self._deferring = True

    def allow(self) -> None:
        """From here on a signal raises; raises StopRequested if one came meanwhile."""
        self._deferring = False
        if self.requested:
            raise StopRequested

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first = not self.requested
        self.requested = True
        if first and not self._deferring:
            raise StopRequested
