"""A real run whose disk gets full: `python -m trainer` on a file system of a few megabytes."""

from pathlib import Path
from typing import Any

import pytest

from service.jobs.rundir import RunDir
from tests.fixtures_disk import Disk
from tests.fixtures_trainer import bandit_model, make_run, train

pytestmark = pytest.mark.training

QUICK: dict[str, Any] = {"group_size": 4, "max_completion_tokens": 4, "lora_rank": 8}


def test_a_run_whose_checkpoint_does_not_fit_fails_and_goes_on_once_there_is_room(
    disk: Disk, tmp_path: Path
) -> None:
    bandit = bandit_model(tmp_path / "bandit")
    run: RunDir = make_run(disk.path, bandit, max_steps=2, **QUICK)
    disk.fill(leave_bytes=160 * 1024)  # One checkpoint, or nearly.
    failed = train(run)
    assert failed.error, run.log_tail()
    assert (failed.state, failed.error.code) == ("failed", "no_disk_space")
    assert max(run.checkpoints(), default=0) < 2
    assert not (run.checkpoints_path / ".partial").exists()
    disk.empty()
    assert train(run).state == "succeeded", run.log_tail()
    assert [row["step"] for row in run.metrics()] == [1, 2]
    assert run.checkpoints() == [1, 2]
