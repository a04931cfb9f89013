"""From a job's hyperparameters to TRL's settings, and from a step's numbers to a line."""

import importlib
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from service.errors import InvalidRequest, ModelUnavailable
from service.jobs.spec import Hyperparameters, JobSpec
from service.text2sql.types import Status, Verdict
from trainer.batching import Batching
from trainer.errors import TrainingDiverged
from trainer.rewards import Rollout

BATCHING = Batching(sequences_per_pass=8, passes=2, checkpoint_activations=False)


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load torch and TRL once, for this file only: it takes seconds, and their packages warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("trainer.grpo.trainer")


def config(tmp_path: Path, **hyperparameters: Any) -> Any:
    from trainer.grpo.config import grpo_config

    spec = JobSpec.model_validate(
        {"base_model": "m", "train_data": "demo", "hyperparameters": hyperparameters, "seed": 5}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return grpo_config(spec, BATCHING, tmp_path)


def rollout(status: Status, reward: float | None) -> Rollout:
    verdict = Verdict(
        status=status,
        reward=reward,
        masked=reward is None,
        retryable=False,
        metrics={},
        components={},
        flags=[],
        sql="SELECT 1",
        rows=1,
        elapsed_ms=1.0,
        cached=False,
        message=None,
    )
    return Rollout("7", "pets", "```sql\nSELECT 1\n```", verdict)


def test_each_hyperparameter_reaches_trl(tmp_path: Path) -> None:
    found = config(
        tmp_path, learning_rate=1e-4, group_size=8, temperature=0.7, beta=0.04, epsilon=0.1
    )
    assert (found.learning_rate, found.num_generations, found.temperature) == (1e-4, 8, 0.7)
    assert (found.beta, found.epsilon, found.epsilon_high) == (0.04, 0.1, 0.28)
    assert (found.max_steps, found.seed, found.save_steps) == (20, 5, 5)


def test_a_step_samples_all_its_groups_before_it_updates_once(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert found.generation_batch_size == 2 * 8
    assert found.steps_per_generation == found.gradient_accumulation_steps == 2
    assert found.num_iterations == 1


@pytest.mark.parametrize(
    ("loss_type", "scale"), [("grpo", "group"), ("dapo", "group"), ("dr_grpo", "none")]
)
def test_dr_grpo_alone_does_not_divide_by_the_deviation(
    tmp_path: Path, loss_type: str, scale: str
) -> None:
    found = config(tmp_path, loss_type=loss_type)
    assert (found.loss_type, found.scale_rewards) == (loss_type, scale)


def test_the_learning_rate_warms_up_and_nothing_is_reported_elsewhere(tmp_path: Path) -> None:
    found = config(tmp_path, warmup_steps=3)
    assert (found.lr_scheduler_type, found.warmup_steps) == ("constant_with_warmup", 3)
    assert found.report_to == []
    assert not found.push_to_hub


def test_lora_covers_the_linear_layers_and_rank_zero_means_none() -> None:
    from trainer.model import lora_config

    found = lora_config(Hyperparameters(lora_rank=8))
    assert found is not None
    assert (found.r, found.lora_alpha, found.target_modules) == (8, 16, "all-linear")
    assert lora_config(Hyperparameters(lora_rank=0)) is None


def test_the_context_bounds_the_prompt() -> None:
    from trainer.model import prompt_limit

    class Context:
        max_position_embeddings = 300

    chosen = Hyperparameters(max_prompt_tokens=256, max_completion_tokens=100)
    assert prompt_limit(Context(), chosen) == 200
    with pytest.raises(InvalidRequest, match="context of 300 tokens"):
        prompt_limit(Context(), Hyperparameters(max_completion_tokens=300))


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    from trainer.model import load_tokenizer

    with pytest.raises(ModelUnavailable, match=r"config\.json is missing"):
        load_tokenizer(tmp_path)


def test_a_line_of_metrics_is_json_whatever_the_numbers_are() -> None:
    from trainer.progress import step_row

    logs = {"loss": float("nan"), "reward": None, "grad_norm": float("inf"), "num_tokens": 9.0}
    row = step_row(3, logs, [rollout("gold_error", None)] * 2, 2)
    again = json.loads(json.dumps(row, allow_nan=False))
    assert (again["loss"], again["grad_norm"], again["reward"]) == (None, None, None)
    assert (again["step"], again["tokens"], again["useful_groups"]) == (3, 9.0, 0.0)
    assert again["verdicts"]["masked"] == 2


def test_kl_is_there_only_with_a_penalty() -> None:
    from trainer.progress import step_row

    rollouts = [rollout("match", 1.0), rollout("mismatch", 0.0)]
    assert "kl" not in step_row(1, {}, rollouts, 2)
    row = step_row(1, {"kl": 0.5}, rollouts, 2)
    assert (row["kl"], row["useful_groups"]) == (0.5, 1.0)


def test_a_rollout_is_kept_as_it_was_generated() -> None:
    from trainer.progress import rollout_row

    row = rollout_row(2, rollout("match", 1.0))
    assert row["completion"] == "```sql\nSELECT 1\n```"
    assert (row["step"], row["question_id"], row["status"], row["reward"]) == (2, "7", "match", 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(bad: float) -> None:
    from trainer.progress import check_finite

    check_finite(1, {"loss": 0.0, "grad_norm": 0.0})
    with pytest.raises(TrainingDiverged, match="step 4: grad_norm is"):
        check_finite(4, {"loss": 0.0, "grad_norm": bad})
