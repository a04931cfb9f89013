"""The live view: stage, progress, time left, reward, useful groups, verdicts, newest events."""

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.logging import RichHandler
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from service.jobs.rundir import RunStatus
from service.pages.run_lines import duration, event_line, shares, sparkline

Row = dict[str, Any]
_STYLES = {
    "match": "green",
    "mismatch": "yellow",
    "error": "red",
    "timeout": "magenta",
    "no_sql": "bright_black",
    "masked": "white",
}
_WIDTH = 40
_NUMBERS = ("useful_groups", "completion_tokens", "entropy", "kl", "loss", "learning_rate")


class LiveView:
    """Keeps the newest numbers and draws them when rich asks."""

    def __init__(self) -> None:
        self._status = RunStatus()
        self._row: Row = {}
        self._rewards: list[float] = []
        self._said: deque[str] = deque(maxlen=4)

    def status(self, status: RunStatus) -> None:
        """The curve begins anew with each stage."""
        if status.stage != self._status.stage:
            self._rewards, self._row = [], {}
        self._status = status

    def step(self, row: Row) -> None:
        """A row of metrics.jsonl."""
        self._row = row
        if isinstance(row.get("reward"), int | float):
            self._rewards.append(row["reward"])

    def event(self, row: Row) -> None:
        """The last few are shown."""
        self._said.append(event_line(row))

    def __rich__(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_row("step", self._progress())
        if self._rewards:
            told = f"{self._rewards[-1]:.3f}  {sparkline(self._rewards, _WIDTH)}"
            table.add_row("reward", Text(told))
        for name in _NUMBERS:
            if isinstance(self._row.get(name), int | float):
                table.add_row(name.replace("_", " "), Text(f"{self._row[name]:.4g}"))
        if verdicts := self._row.get("verdicts"):
            table.add_row("verdicts", _verdicts(verdicts))
        said = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in self._said]
        status = self._status
        return Panel(Group(table, *said), title=f"{status.stage}: {status.state}", expand=False)

    def _progress(self) -> RenderableType:
        status = self._status
        left = f"  {duration(status.eta_s)} left" if status.eta_s else ""
        line = Table.grid(padding=(0, 1))
        total = status.max_steps or 1
        bar = ProgressBar(total=total, completed=min(status.step, total), width=_WIDTH)
        line.add_row(bar, Text(f"{status.step} of {status.max_steps}{left}"))
        return line


@contextmanager
def live_view(console: Console | None = None) -> Iterator[LiveView]:
    """Draw four times a second; log lines go above. The terminal is put right however it ends."""
    view, console = LiveView(), console or Console()
    root = logging.getLogger()
    usual = root.handlers[:]
    root.handlers[:] = [RichHandler(console=console, show_path=False, markup=False)]
    try:
        with Live(view, console=console, refresh_per_second=4):
            yield view
    finally:
        root.handlers[:] = usual


def _verdicts(counts: dict[str, int]) -> Text:
    """A bar, and the counts in words: colour is not needed to read it."""
    bar = Text()
    for kind, length in shares(counts, _WIDTH):
        bar.append("█" * length, style=_STYLES[kind])
    told = "  ".join(f"{kind} {count}" for kind, count in counts.items() if count)
    return bar.append(f"  {told}")
