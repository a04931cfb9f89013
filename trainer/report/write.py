"""report.html in a run's folder, replaced whole."""

import os
from pathlib import Path

from service.jobs.rundir import RunDir
from trainer.report.facts import read_facts
from trainer.report.page import as_html

FILE = "report.html"


def write_report(run: RunDir) -> Path:
    """Make the report of a run that has ended, failed or is under way; returns its path.

    Raises InvalidRequest if the folder is no run, OSError.
    """
    path = run.path / FILE
    unfinished = path.with_suffix(f".tmp{os.getpid()}")
    unfinished.write_bytes(as_html(read_facts(run)))
    unfinished.replace(path)
    return path
