"""Real runs: `python -m trainer` as the service starts it."""

import json
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import pytest

from service.jobs.rundir import RunDir
from service.text2sql.prompt import DEFAULT
from tests.fixtures_trainer import (
    bandit_model,
    make_run,
    small_model,
    train,
    trainer,
    wait_until,
    write_questions,
)

pytestmark = pytest.mark.training

LEARNS = {"group_size": 8, "max_completion_tokens": 4, "lora_rank": 0, "learning_rate": 1e-2}
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
REPEATABLE = ("reward", "loss", "grad_norm", "entropy", "completion_tokens", "tokens", "verdicts")


@pytest.fixture(scope="module")
def bandit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bandit_model(tmp_path_factory.mktemp("bandit"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Three steps of the 135M model, to the end."""
    run = make_run(tmp_path_factory.mktemp("trained"), small_model(), max_steps=3)
    assert train(run).state == "succeeded"
    return run


def steps(run: RunDir) -> list[int]:
    return [row["step"] for row in run.metrics()]


def events(run: RunDir) -> list[str]:
    return [event["type"] for event in run.events()]


def test_a_run_ends_succeeded_with_a_line_for_each_step(trained: RunDir) -> None:
    status = trained.status()
    assert status is not None
    assert (status.state, status.step, status.max_steps, status.error) == ("succeeded", 3, 3, None)
    assert steps(trained) == [1, 2, 3]
    assert events(trained)[:2] == ["stage_started", "data"]
    assert events(trained)[-2:] == ["stage_finished", "succeeded"]


def test_a_gold_has_the_time_that_the_service_gives_it(tmp_path: Path, bandit: Path) -> None:
    run = make_run(tmp_path, bandit)
    write_questions(tmp_path / "questions.json", [("How many?", ENDLESS)])
    request = run.request().model_copy(update={"gold_timeout_s": 0.5, "query_timeout_s": 600.0})
    (run.path / "job.json").write_text(request.model_dump_json())
    status = train(run)
    assert status.error is not None
    assert status.error.code == "no_training_rows"
    assert "gold_timeout: 1" in status.error.message


def test_the_numbers_of_a_step_agree_with_each_other(trained: RunDir) -> None:
    for row in trained.metrics():
        assert sum(row["verdicts"].values()) == 4
        assert row["reward"] == row["verdicts"]["match"] / 4
        assert row["useful_groups"] == float(row["reward"] not in (0.0, 1.0))
        assert (row["grad_norm"] > 0) == (row["useful_groups"] > 0)
        assert 0 < row["completion_tokens"] <= 16
        if row["useful_groups"]:
            assert row["entropy"] > 0
        assert row["seconds"] > 0


def test_rollouts_of_each_step_are_kept_with_their_verdicts(trained: RunDir) -> None:
    lines = (trained.path / "rollouts.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [1] * 4 + [2] * 4 + [3] * 4
    for step in trained.metrics():
        rewards = [row["reward"] for row in rows if row["step"] == step["step"]]
        assert sum(rewards) == step["verdicts"]["match"]


def test_every_checkpoint_is_an_adapter_that_peft_loads(trained: RunDir) -> None:
    assert trained.checkpoints() == [1, 2, 3]
    weights = adapter_weights(trained, 3)
    up = [value for name, value in weights.items() if "lora_B" in name]
    assert len(up) == 30 * 7
    learned = any(row["grad_norm"] > 0 for row in trained.metrics())
    assert any(value.any() for value in up) == learned  # They begin as zeros.


def adapter_weights(run: RunDir, step: int) -> dict[str, Any]:
    """Load the base model, put the checkpoint's adapter on it, give the adapter's weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(run.request().base_model_path)
        model = PeftModel.from_pretrained(base, run.checkpoints_path / f"step_{step}")
        return {name: value for name, value in model.named_parameters() if "lora" in name}


def test_a_manifest_says_what_the_checkpoint_was_made_from(trained: RunDir) -> None:
    manifest = json.loads((trained.checkpoints_path / "step_2" / "manifest.json").read_text())
    assert manifest["metrics"] == trained.metrics()[1]
    assert manifest["prompt_templates"] == {str(DEFAULT): 3}
    assert len(manifest["base_weights_sha256"]) == 64
    assert manifest["job_id"] == "job_test"


def test_grpo_finds_the_statement_that_earns_the_reward(bandit: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bandit, max_steps=60, checkpoint_every=100, **LEARNS)
    assert train(run).state == "succeeded"
    rewards = [row["reward"] for row in run.metrics()]
    assert sum(rewards[:5]) / 5 < 0.7
    assert sum(rewards[-10:]) / 10 > 0.95
    assert (run.checkpoints_path / "step_60" / "model.safetensors").exists()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(bandit: Path, tmp_path: Path) -> None:
    settings = LEARNS | {"lora_rank": 8, "checkpoint_every": 4, "prompts_per_step": 2}
    unbroken = make_run(tmp_path / "unbroken", bandit, max_steps=12, **settings)
    assert train(unbroken).state == "succeeded"
    broken = make_run(tmp_path / "broken", bandit, max_steps=12, **settings)
    with trainer(broken) as process:
        wait_until(process, lambda: len(broken.metrics()) >= 6, "step 6")
        os.killpg(process.pid, signal.SIGKILL)
    assert broken.checkpoints() in ([4], [4, 8])
    assert train(broken).state == "succeeded"
    assert steps(broken) == list(range(1, 13))
    for once, again in zip(unbroken.metrics(), broken.metrics(), strict=True):
        assert {k: once[k] for k in REPEATABLE} == {k: again[k] for k in REPEATABLE}


def test_a_stopped_run_keeps_its_last_whole_step_and_goes_on_from_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, small_model(), max_steps=50, checkpoint_every=50)
    with trainer(run) as process:
        wait_until(process, lambda: len(run.metrics()) >= 2, "step 2")
        with trainer(run, log="second.log") as second:
            assert second.wait(timeout=240) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 0
    status = run.status()
    assert status is not None
    assert (status.state, status.eta_s) == ("cancelled", None)
    assert run.checkpoints() == [status.step] == steps(run)[-1:]
    assert events(run)[-2:] == ["checkpoint", "cancelled"]


def test_a_stop_before_the_first_step_leaves_no_checkpoint(bandit: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bandit, max_steps=1000, **LEARNS)
    with trainer(run) as process:
        wait_until(process, lambda: run.status() is not None, "its first status")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 0
    status = run.status()
    assert status is not None
    assert (status.state, status.step) == ("cancelled", 0)
    assert run.checkpoints() == []


def test_data_without_a_usable_question_is_a_failure_that_says_why(
    bandit: Path, tmp_path: Path
) -> None:
    run = make_run(tmp_path, bandit)
    write_questions(run.request().train_data_path, [("Who?", "SELECT nothing FROM pets")])
    status = train(run)
    assert status.error is not None
    assert status.error.code == "no_training_rows"
    assert "gold_error: 1" in status.error.message
