"""What `verisql jobs watch` shows: a live picture in a terminal, lines anywhere else."""

import math
import time
from collections import deque
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.pages.braille import curve
from service.pages.run_lines import duration, event_line, step_line
from service.pages.texts import one_line, visible

Row = dict[str, Any]
CURVES = ("reward", "useful_groups", "loss")
_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "paused": "yellow"}
_WIDTH, _HEIGHT, _EVENTS = 40, 3, 6


class View(Protocol):
    """Is told what comes in."""

    def job(self, job: Row) -> None:
        """The newest state of the job."""

    def metric(self, row: Row) -> None:
        """A row of numbers."""

    def event(self, row: Row) -> None:
        """Something that happened."""

    def forget_metrics(self) -> None:
        """The rows so far are void."""

    def trouble(self, text: str | None) -> None:
        """The connection broke, and why; None once it is back."""


class LineView:
    """A line for each step and event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: str | None = None

    def job(self, job: Row) -> None:
        """See View; a line where the state has changed."""
        if job["status"] != self._status:
            self._status = job["status"]
            self._say(f"{job['id']} is {self._status}{_why(job)}")

    def metric(self, row: Row) -> None:
        """See View."""
        self._say(step_line(row))

    def event(self, row: Row) -> None:
        """See View."""
        self._say(dated(row))

    def forget_metrics(self) -> None:
        """See View."""
        self._say("the run went back to an earlier step: the steps above are void")

    def trouble(self, text: str | None) -> None:
        """See View."""
        self._say(f"connection lost, trying again: {one_line(text)}" if text else "connected again")

    def _say(self, line: str) -> None:
        self._console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


class LivePicture:
    """Keeps what is newest and draws it when rich asks."""

    def __init__(self) -> None:
        self._job: Row = {}
        self._row: Row = {}
        self._series: dict[str, list[float]] = {}
        self._stages: dict[str, Any] = {}
        self._said: deque[str] = deque(maxlen=_EVENTS)
        self._trouble: str | None = None

    def job(self, job: Row) -> None:
        """See View."""
        self._job = job

    def metric(self, row: Row) -> None:
        """See View; a curve begins anew with each stage that has it."""
        self._row = self._row | row
        for name in CURVES:
            value = row.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                if self._stages.get(name) != row.get("stage"):
                    self._series.pop(name, None)
                self._stages[name] = row.get("stage")
                self._series.setdefault(name, []).append(float(value))

    def event(self, row: Row) -> None:
        """See View; the last few are shown."""
        self._said.append(dated(row))

    def forget_metrics(self) -> None:
        """See View."""
        self._row, self._series, self._stages = {}, {}, {}

    def trouble(self, text: str | None) -> None:
        """See View."""
        self._trouble = one_line(text) if text else None

    def __rich__(self) -> RenderableType:
        job = self._job
        table = Table.grid(padding=(0, 2))
        table.add_row("progress", self._progress())
        if job.get("cost"):
            table.add_row("cost", Text(_cost(job["cost"])))
        for name in CURVES:
            if series := self._series.get(name):
                table.add_row(name.replace("_", " "), _plot(series))
        lines = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in self._said]
        if self._trouble:
            lines.append(Text(f"connection lost, trying again: {self._trouble}", style="red"))
        status = str(job.get("status", "?"))
        title = Text(f"{job.get('id', '')}: {status}{_why(job)}", style=_STYLES.get(status, ""))
        return Panel(Group(table, *lines), title=title, expand=False)

    def _progress(self) -> RenderableType:
        job, line = self._job, Table.grid(padding=(0, 1))
        share = float(job.get("progress") or 0)
        left = f"  {duration(job['eta_s'])} left" if job.get("eta_s") else ""
        step = f"  step {self._row['step']}" if "step" in self._row else ""
        stage = f"  {one_line(job['stage'])}" if job.get("stage") else ""
        bar = ProgressBar(total=1, completed=min(share, 1), width=_WIDTH)
        line.add_row(bar, Text(f"{share:.0%}{stage}{step}{left}"))
        return line


def dated(row: Row) -> str:
    """`12:03:01 type: message`, by this machine's clock."""
    created_at = row.get("created_at")
    if not isinstance(created_at, int | float):
        return event_line(row)
    return f"{time.strftime('%H:%M:%S', time.localtime(created_at))} {event_line(row)}"


def _plot(series: list[float]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    drawn = Text("\n".join(curve(series, _WIDTH, _HEIGHT)))
    told = f"{max(series):.4g}\n\n{min(series):.4g}"
    grid.add_row(Text(f"{series[-1]:.4g}".ljust(9)), drawn, Text(told, style="dim"))
    return grid


def _cost(cost: Row) -> str:
    return ", ".join(f"{hours:.2f} {name.replace('_', ' ')}" for name, hours in cost.items())


def _why(job: Row) -> str:
    error = job.get("error")
    return " " + one_line(f"({error['code']}: {error['message']})") if error else ""
