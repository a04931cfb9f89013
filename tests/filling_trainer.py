"""The real trainer's beginning and end around a training that is one checkpoint of 1 MiB.

python filling_trainer.py MOMENT --run-dir DIR. MOMENT is what a full disk is met by: `checkpoint`,
or `status`, for which the disk is filled up behind it.
"""

import sys
from pathlib import Path

from service.jobs.rundir import RunDir, RunStatus
from tests.fixtures_disk import Disk
from trainer import __main__ as trainer
from trainer.checkpoint import partial_path
from trainer.stopping import Stopper

MOMENT = sys.argv.pop(1)
STARTED = Path(sys.argv[-1]) / "starts"


def train(run: RunDir, stopper: Stopper) -> None:
    del stopper
    with STARTED.open("a") as file:
        file.write("1\n")
    run.write_status(RunStatus(state="running", step=1, max_steps=2))
    run.append_metrics({"step": 1, "reward": 0.5})
    folder = partial_path(run) / "step_1"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "weights").write_bytes(bytes(2**20))
    finally:
        if MOMENT == "status" and Disk(run.path.parents[1]).is_full():
            (folder / "weights").unlink()
            Disk(run.path.parents[1]).fill()
    folder.rename(run.checkpoints_path / "step_1")


trainer._train = train
sys.exit(trainer.main())
