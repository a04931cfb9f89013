"""The training process: python -m trainer --run-dir DIR

Exit codes: 0 succeeded, or cancelled after SIGTERM or SIGINT; 1 failed, status.json says why;
2 wrong arguments, or no job.json there; 3 another trainer works in that folder, which was left
alone; 74 the disk is so full that status.json could not say why it ended. Started again in the same
folder it goes on from the newest checkpoint.
"""

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from service.errors import InvalidRequest, NoDiskSpace, VeriSQLError
from service.jobs.rundir import FULL_EXIT, RunDir, RunError, RunState, RunStatus, is_full
from service.jobs.spec import RunRequest
from trainer.allocator import keep_freed_memory
from trainer.checkpoint import partial_path, rewind
from trainer.errors import RunFailed
from trainer.integrations import check_integrations
from trainer.lock import hold_lock
from trainer.report import write_report
from trainer.scale.ranks import is_main, run_of_rank, world_size
from trainer.scale.with_parent import die_with
from trainer.stopping import Stopper, StopRequested
from trainer.terminal import watched

ENDED, FAILED, NO_JOB, LOCKED = 0, 1, 2, 3
_FULL_BYTES = 16 * 2**20
_LONGEST_MESSAGE = 1000

_LOG = logging.getLogger("trainer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job of a run directory; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run-dir", type=Path, required=True, help="folder with job.json")
    if world_size() > 1:
        # One of several: without what started them nobody could find and end it.
        die_with(os.getppid())
    run = run_of_rank(parser.parse_args(arguments).run_dir.resolve())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not run.exists():
        _LOG.error("there is no job.json in %s", run.path)
        return NO_JOB
    if is_main() and hold_lock(run.lock_path) is None:
        _LOG.error("another trainer works in %s", run.path)
        return LOCKED
    if not is_main():
        return _run(run, Stopper())
    with watched(run) as shown:
        code = _run(shown, Stopper())
    _report(run)
    return code


def _run(run: RunDir, stopper: Stopper) -> int:
    try:
        stopper.install()
        _train(run, stopper)
        stopper.defer()
    except StopRequested:
        return _end(run, "cancelled")
    except Exception as error:  # noqa: BLE001 - boundary: whatever it was, status.json must say it.
        stopper.defer()
        _LOG.exception("the run failed")
        return _end(run, "failed", _explained(error, run))
    return _end(run, "succeeded")


def _train(run: RunDir, stopper: Stopper) -> None:
    request = _read_request(run)
    check_integrations(request.spec.hyperparameters.integrations)
    step = rewind(run)
    most = max(step, request.spec.max_steps)
    stage = request.spec.recipe[0]
    best = (run.status() or RunStatus()).best_checkpoint
    run.write_status(
        RunStatus(state="starting", stage=stage, step=step, max_steps=most, best_checkpoint=best)
    )
    keep_freed_memory()
    # Imported here: torch takes seconds, a misspelt job should not.
    from trainer.recipe import run_recipe

    run_recipe(run, request, stopper)


def _read_request(run: RunDir) -> RunRequest:
    try:
        return run.request()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        where = f"job.json: {field}" if field else "job.json"
        raise InvalidRequest(f"{where}: {first['msg']}", param=field or None) from error


def _end(run: RunDir, state: RunState, error: RunError | None = None) -> int:
    if error:
        shutil.rmtree(partial_path(run), ignore_errors=True)  # On a full disk: room for the status.
    try:
        _say_end(run, state, error)
    except OSError as reason:
        _LOG.exception("the run's end cannot be written")
        return FULL_EXIT if is_full(reason) else FAILED
    return FAILED if error else ENDED


def _say_end(run: RunDir, state: RunState, error: RunError | None) -> None:
    if error:
        run.append_event("error", "failed", error.message, code=error.code)
    else:
        run.append_event("info", state, "the run was stopped" if state == "cancelled" else "done")
    last = run.status() or RunStatus()
    done = last.max_steps if state == "succeeded" else last.step
    said = {"state": state, "step": done, "eta_s": None, "error": error}
    run.write_status(last.model_copy(update=said))


def _report(run: RunDir) -> None:
    """The page beside the figures; a run does not fail for want of it."""
    try:
        write_report(run)
    except Exception:  # noqa: BLE001 - whatever is wrong with the page, the run is over.
        _LOG.exception("the report could not be written")


def _explained(error: Exception, run: RunDir) -> RunError:
    if isinstance(error, VeriSQLError | RunFailed):
        return RunError(code=error.code, message=error.message, param=error.param)
    if is_full(error) or _is_nearly_full(run.path):
        message = f"the disk of {run.path} is full: free some space, then resume the job"
        return RunError(code=NoDiskSpace.code, message=message)
    message = f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]
    return RunError(code=VeriSQLError.code, message=message)


def _is_nearly_full(folder: Path) -> bool:
    # Each library says in its own way that a disk is full, some not at all.
    with suppress(OSError):  # The folder may be gone.
        return shutil.disk_usage(folder).free < _FULL_BYTES
    return False


def _leave(code: int) -> NoReturn:
    # Everything is closed and on disk. To take torch apart would cost seconds, after status.json
    # has said that the run is over.
    logging.shutdown()
    with suppress(OSError):  # The log's disk may be full, which must not change the code.
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _leave(main())
