"""What a person sees of a run: a live view where standard output is a terminal, else log lines.

The view is fed by what the run writes: `watched` gives a RunDir that, beside its files, tells a
View every status, row of metrics and event. Nothing of it is known to the stages.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.jobs.rundir import RunDir, RunStatus
from service.pages.run_lines import event_line, step_line

Row = dict[str, Any]
_LOG = logging.getLogger("trainer")
_LEVELS = {"warning": logging.WARNING, "error": logging.ERROR}


class View(Protocol):
    """Is told what the run has just written."""

    def status(self, status: RunStatus) -> None:
        """The newest state, stage, step, time left."""

    def step(self, row: Row) -> None:
        """A row of metrics.jsonl."""

    def event(self, row: Row) -> None:
        """`level`, `type`, `message`."""


class LogView:
    """A line for each step and event, through logging."""

    def __init__(self) -> None:
        self._status = RunStatus()

    def status(self, status: RunStatus) -> None:
        """Kept for the lines that follow."""
        self._status = status

    def step(self, row: Row) -> None:
        """One line."""
        status = self._status
        line = step_line(row, status.stage, max_steps=status.max_steps, eta_s=status.eta_s)
        _LOG.info("%s", line)

    def event(self, row: Row) -> None:
        """One line, with the event's level."""
        _LOG.log(_LEVELS.get(str(row.get("level")), logging.INFO), "%s", event_line(row))


class WatchedRun(RunDir):
    """A run's folder whose appends are seen by a view, too; the files come first."""

    def __init__(self, path: Path, view: View) -> None:
        super().__init__(path)
        self._view = view

    def write_status(self, status: RunStatus) -> None:
        """See RunDir."""
        super().write_status(status)
        self._view.status(status)

    def append_metrics(self, row: Row) -> None:
        """See RunDir."""
        super().append_metrics(row)
        self._view.step(row)

    def append_event(self, level: str, type_: str, message: str, **data: Any) -> None:
        """See RunDir."""
        super().append_event(level, type_, message, **data)
        self._view.event({"level": level, "type": type_, "message": message})


@contextmanager
def watched(run: RunDir) -> Iterator[RunDir]:
    """The same run, shown to whoever looks; log lines stand above a live view."""
    if not sys.stdout.isatty():
        yield WatchedRun(run.path, LogView())
        return
    # Imported here: a job of the service has no terminal.
    from trainer.terminal_live import live_view

    with live_view() as view:
        yield WatchedRun(run.path, view)
