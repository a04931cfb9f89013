"""`python -m trainer.report RUN_DIR`: write report.html into a run's folder, at any time."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from service.errors import VeriSQLError
from service.jobs.rundir import RunDir
from trainer.report.write import write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """0 and the page's path, or 1 and what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m trainer.report", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="folder with job.json")
    run = RunDir(parser.parse_args(arguments).run_dir.resolve())
    try:
        path = write_report(run)
    except VeriSQLError as error:
        sys.stderr.write(f"report: {error.code}: {error.message}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
