"""Checkpoints are whole or absent, and no step is counted twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import Stage
from trainer.checkpoint import CheckpointKeeper, partial_path, rewind, weights_sha256
from trainer.context import Policy, StageResult
from trainer.evaluation.points import points


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return RunDir(tmp_path)


def write_half(run: RunDir, step: int) -> Path:
    folder = partial_path(run) / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    (folder / "training_args.bin").write_bytes(b"pickle")
    return folder


def test_a_published_checkpoint_says_what_it_is(run: RunDir) -> None:
    keeper = CheckpointKeeper(run, {"base_model": "tiny"})
    folder = keeper.publish(write_half(run, 2), 2, {"reward": 0.5})
    manifest = json.loads((folder / "manifest.json").read_text())
    assert folder == run.checkpoints_path / "step_2"
    assert (manifest["step"], manifest["base_model"]) == (2, "tiny")
    assert manifest["metrics"] == {"reward": 0.5}
    assert run.events()[-1]["data"] == {"step": 2}


def test_no_pickle_is_kept(run: RunDir) -> None:
    folder = CheckpointKeeper(run, {}).publish(write_half(run, 1), 1, {})
    assert sorted(p.name for p in folder.iterdir()) == [
        "adapter_model.safetensors",
        "manifest.json",
    ]


def test_a_checkpoint_is_known_once_it_is_published(run: RunDir) -> None:
    keeper = CheckpointKeeper(run, {})
    written = write_half(run, 3)
    assert not keeper.has(3)
    assert run.checkpoints() == []
    keeper.publish(written, 3, {})
    assert keeper.has(3)
    assert keeper.has(0)


def test_a_writer_that_is_killed_leaves_no_checkpoint(run: RunDir) -> None:
    program = """
import os, pathlib, signal, sys
from service.jobs.rundir import RunDir
from trainer.checkpoint import CheckpointKeeper

class Dying(dict):
    def items(self):
        os.kill(os.getpid(), signal.SIGKILL)

CheckpointKeeper(RunDir(pathlib.Path(sys.argv[1])), {}).publish(
    pathlib.Path(sys.argv[2]), 5, {"reward": Dying(a=1)})
"""
    written = write_half(run, 5)
    command = [sys.executable, "-c", program, str(run.path), str(written)]
    root = Path(__file__).parents[1]
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    assert run.checkpoints() == []
    assert written.exists()
    assert rewind(run) == 0
    assert not partial_path(run).exists()


def test_a_rewind_cuts_what_came_after_the_newest_checkpoint(run: RunDir) -> None:
    CheckpointKeeper(run, {}).publish(write_half(run, 2), 2, {})
    for step in (1, 2, 3):
        run.append_metrics({"step": step})
        run.append_rollout({"step": step, "completion": "é"})
    assert rewind(run) == 2
    assert [row["step"] for row in run.metrics()] == [1, 2]
    assert (run.path / "rollouts.jsonl").read_text().count("\n") == 2


def test_a_rewind_drops_a_line_that_was_being_written(run: RunDir) -> None:
    CheckpointKeeper(run, {}).publish(write_half(run, 1), 1, {})
    run.append_metrics({"step": 1})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "rew')
    rewind(run)
    run.append_metrics({"step": 2})
    assert [row["step"] for row in run.metrics()] == [1, 2]


def test_a_rewind_without_a_checkpoint_starts_over(run: RunDir) -> None:
    run.append_metrics({"step": 1})
    assert rewind(run) == 0
    assert run.metrics() == []


def test_a_rewind_of_a_new_run_makes_no_files(run: RunDir) -> None:
    assert rewind(run) == 0
    assert os.listdir(run.path) == []


def test_the_hash_of_weights_covers_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"1")
    first = weights_sha256(tmp_path)
    (tmp_path / "config.json").write_bytes(b"{}")
    assert weights_sha256(tmp_path) == first
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    assert weights_sha256(tmp_path) != first


def test_pruning_leaves_earlier_stages_and_all_that_evaluate_will_measure(run: RunDir) -> None:
    for offset, steps in ((0, range(1, 4)), (3, range(1, 6))):
        keeper = CheckpointKeeper(run, {}, offset=offset, keep=2)
        for step in steps:
            keeper.publish(write_half(run, step), step, {})
    assert run.checkpoints() == [2, 3, 7, 8]
    start = Policy(base_model="m", base_model_path=run.path, template="ddl-v2")
    ends: tuple[tuple[Stage, int], ...] = (("offline", 3), ("grpo", 8))
    results: dict[str, StageResult] = {
        stage: StageResult(
            stage=stage, policy=start.model_copy(update={"checkpoint": end}), steps=end
        )
        for stage, end in ends
    }
    measured = points(start, results, run.checkpoints(), within=2)
    assert [one.policy.checkpoint for one in measured] == [None, 3, 7, 8]


def test_the_best_checkpoint_is_never_removed(run: RunDir) -> None:
    keeper = CheckpointKeeper(run, {}, keep=1)
    for step in (1, 2, 3):
        keeper.publish(write_half(run, step), step, {})
        run.write_status(RunStatus(best_checkpoint=2 if step >= 2 else None))
    assert run.checkpoints() == [2, 3]
