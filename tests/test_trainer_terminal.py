"""A run is shown as it is written: live in a terminal, as lines anywhere else."""

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from service.jobs.rundir import RunDir, RunStatus
from service.pages.run_lines import duration, event_line, shares, sparkline, step_line
from tests.fixtures_trainer import ROOT
from trainer.terminal import watched
from trainer.terminal_live import live_view

ROW = {
    "step": 12,
    "stage": "grpo",
    "reward": 0.5,
    "useful_groups": 0.25,
    "verdicts": {"match": 4, "mismatch": 3, "error": 0, "timeout": 0, "no_sql": 1, "masked": 0},
    "seconds": 31.52,
}
STATUS = RunStatus(state="running", stage="grpo", step=12, max_steps=60, eta_s=1500.0)
SHOW = """
import pathlib, sys
from service.jobs.rundir import RunDir, RunStatus
from service.pages.run_lines import duration, event_line, shares, sparkline, step_line
from trainer.terminal import watched
with watched(RunDir(pathlib.Path(sys.argv[1]))) as run:
    run.write_status(RunStatus(state="running", stage="grpo", step=12, max_steps=60))
    run.append_metrics({"step": 12, "reward": 0.5, "verdicts": {"match": 4, "mismatch": 4}})
"""


def test_without_a_terminal_each_step_and_event_is_a_line_and_in_its_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), watched(RunDir(tmp_path)) as run:
        run.write_status(STATUS)
        run.append_metrics(ROW)
        run.append_event("warning", "masked", "2 completions\nwere left out", step=12)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "INFO",
            "grpo 12/60  reward 0.5  useful_groups 0.25  match 4 mismatch 3 no_sql 1  31.5 s  "
            "eta 25 min",
        ),
        ("WARNING", "masked: 2 completions were left out"),
    ]
    assert run.metrics() == [ROW]
    assert run.events()[0]["data"] == {"step": 12}
    status = run.status()
    assert status is not None
    assert status.step == 12


def test_the_live_view_shows_stage_progress_reward_and_verdicts() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    with live_view(console) as view:
        view.status(STATUS)
        for reward in (0.1, 0.3, 0.9):
            view.step(ROW | {"reward": reward})
        view.event({"type": "checkpoint", "message": "[red]\x1b[31mof step 12"})
        console.print(view)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for told in ("grpo: running", "12 of 60", "25 min left", "0.900  ▁▃█", "match 4  mismatch 3"):
        assert told in text
    assert "checkpoint: [red]\\u001b[31mof step 12" in text


def test_log_lines_go_above_the_view_and_back_to_their_handlers_at_the_end() -> None:
    usual = logging.getLogger().handlers[:]
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with pytest.raises(KeyError), live_view(console):
        _warn_and_fail()
    assert isinstance(console.file, io.StringIO)
    assert "the disk is nearly full" in console.file.getvalue()
    assert console.file.getvalue().rstrip().endswith("\x1b[?25h")  # The cursor is back.
    assert logging.getLogger().handlers == usual


def _warn_and_fail() -> None:
    logging.getLogger("trainer").warning("the disk is nearly full")
    raise KeyError


def test_a_terminal_gets_the_live_view(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SHOW, str(tmp_path)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65_536):
            shown += chunk
    except OSError:
        pass  # Linux says so when the last writer is gone.
    finally:
        os.close(ours)
    assert process.wait() == 0
    assert "12 of 60" in shown.decode()
    assert "\x1b[?25h" in shown.decode()


def test_a_sparkline_goes_from_the_least_to_the_largest() -> None:
    assert sparkline([], 5) == ""
    assert sparkline([2.0, 2.0], 5) == "▁▁"
    assert sparkline([0.0, 1.0], 5) == "▁█"
    assert len(sparkline([float(n) for n in range(1000)], 40)) == 40


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({}, []),
        ({"match": 0}, []),
        ({"match": 5, "mismatch": 5}, [("match", 5), ("mismatch", 5)]),
        ({"match": 999, "error": 1}, [("match", 9), ("error", 1)]),
    ],
)
def test_a_bar_has_room_for_every_kind(
    counts: dict[str, int], found: list[tuple[str, int]]
) -> None:
    assert shares(counts, 10) == found


@pytest.mark.parametrize(
    ("seconds", "told"), [(5, "5 s"), (89, "89 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_time_left_is_told_in_the_unit_of_its_size(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_lines_need_only_what_there_is() -> None:
    assert step_line({"step": 3, "loss": 1.25}, "offline") == "offline 3  loss 1.25"
    assert event_line({"type": "x", "message": None}) == "x: None"
