"""One run for each seed: made once, gone on with where it was stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from service.errors import InvalidRequest
from service.jobs.resources import WAITING_THREADS
from service.jobs.rundir import RunDir, RunError, RunStatus
from service.jobs.spec import RunRequest
from trainer.demo.data import Split, digest, write_questions
from trainer.demo.preset import control_spec, demo_spec

TRAINER = (sys.executable, "-m", "trainer")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def demo_run(output: Path, split: Split, model: Path, seed: int) -> RunDir:
    """The seed's run folder, made if it is not there.

    Raises InvalidRequest if one with other settings is.
    """
    data = output / "data"
    data.mkdir(parents=True, exist_ok=True)
    train, dev = data / "train.json", data / "dev.json"
    digests = {"train": digest(split.train), "dev": digest(split.dev), "dev_is": split.said}
    request = RunRequest(
        job_id=f"demo_{seed}",
        spec=demo_spec(train, dev, seed, digests),
        base_model_path=model,
        train_data_path=train,
        dev_data_path=dev,
        values_path=output / "values",
        data_dirs=list(split.folders),
        same_databases=split.same_databases,
    )
    run = _made(RunDir(output / f"seed_{seed}"), request)
    for path, questions in ((train, split.train), (dev, split.dev)):
        write_questions(path, questions)
    return run


def control_run(run: RunDir) -> RunDir:
    """From the end of a finished run's warm-up, as many supervised steps as GRPO took.

    Raises InvalidRequest if there is one with other settings, or if that run has not ended.
    """
    warm, tuned = (_steps(run, stage) for stage in ("offline", "grpo"))
    request = run.request()
    update = {
        "job_id": f"{request.job_id}_control",
        "spec": control_spec(request.spec, tuned - warm),
        "parent_adapter_path": run.checkpoints_path / f"step_{warm}",
    }
    control = _made(
        RunDir(run.path.with_name(f"{run.path.name}_control")), request.model_copy(update=update)
    )
    measured, own = (one.path / "stages" / "evaluate" for one in (run, control))
    if not own.exists():
        # Both begin with the same two models; an evaluation of anything else would be refused.
        for there, here in (("base", "base"), (f"offline_step_{warm}", "parent")):
            if (measured / there).exists():
                shutil.copytree(measured / there, own / here)
    return control


def _made(run: RunDir, request: RunRequest) -> RunDir:
    if run.exists() and not _is_same(run, request):
        raise InvalidRequest(
            f"{run.path} holds a run with other settings or data: choose another --output, or "
            "remove that folder",
            param="output",
        )
    if not run.exists():
        run.create(request)
    return run


def _steps(run: RunDir, stage: str) -> int:
    path = run.path / "stages" / f"{stage}.json"
    try:
        return int(json.loads(path.read_bytes())["steps"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path} does not say how many steps were made: {error}") from error


def finish(run: RunDir, command: Sequence[str] = TRAINER) -> RunStatus:
    """Train to the end, in a child process that shows its own progress; a finished run is left.

    The status is `succeeded`, `cancelled` after a signal, or `failed` with the reason.
    """
    status = run.status()
    if status and status.state == "succeeded":
        return status
    child = subprocess.Popen(
        [*command, "--run-dir", str(run.path)],
        start_new_session=True,
        env=WAITING_THREADS | os.environ,
    )
    with _handing_on(child):
        code = child.wait()
    status = run.status() or RunStatus()
    if code == 0 and status.state in ("succeeded", "cancelled"):
        return status
    error = status.error or RunError(code="trainer_died", message=f"the trainer ended with {code}")
    return status.model_copy(update={"state": "failed", "error": error})


@contextmanager
def _handing_on(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """A signal to stop goes to the child, once; it ends with a checkpoint."""

    def stop(number: int, frame: object) -> None:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)

    before = [signal.signal(number, stop) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _is_same(run: RunDir, request: RunRequest) -> bool:
    try:
        return run.request() == request
    except ValidationError:
        return False
