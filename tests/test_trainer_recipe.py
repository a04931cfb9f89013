"""Real runs of several stages on a model that learns in seconds."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from service.jobs.rundir import RunDir
from service.models.parity import read_record
from tests.fixtures_trainer import (
    EASY,
    bandit_model,
    make_run,
    train,
    trainer,
    wait_until,
    write_questions,
)
from trainer.checkpoint import weights_sha256
from trainer.export.weights import load_exported
from trainer.files import CANDIDATES
from trainer.report import write_report

pytestmark = pytest.mark.training

SETTINGS: dict[str, Any] = {
    "group_size": 4,
    "max_completion_tokens": 4,
    "lora_rank": 8,
    "learning_rate": 1e-2,
    "checkpoint_every": 2,
    "prompts_per_step": 2,
    "beta": 0.04,
    "refills": 1,
    "offline": {"samples": 8, "questions_per_step": 2, "learning_rate": 1e-2, "epochs": 12},
}
RECIPE = ["offline", "grpo"]
EXACT = ("step", "stage", "loss", "kl", "grad_norm", "learning_rate", "reward", "verdicts")


@pytest.fixture(scope="module")
def bandit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bandit_model(tmp_path_factory.mktemp("bandit"))


def numbers(run: RunDir) -> list[dict[str, Any]]:
    return [{name: row.get(name) for name in EXACT} for row in run.metrics()]


def check_canary(base: Path, checkpoint: Path) -> None:
    """What the checkpoint says of its policy's answers is what its files give when loaded anew."""
    model, items = load_exported(base, checkpoint), read_record(checkpoint)
    assert len(items) == min(4, len(EASY))
    for item in items:
        prompt, told = item.prompt_tokens, torch.tensor(item.tokens)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *item.tokens]])).logits.float()
        found = logits.log_softmax(-1)[0, len(prompt) - 1 : -1].gather(-1, told[:, None])[:, 0]
        assert found.tolist() == pytest.approx(item.logprobs, abs=0.05)


def test_grpo_goes_on_where_the_offline_stage_ended(bandit: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bandit, recipe=RECIPE, max_steps=4, **SETTINGS)
    assert train(run).state == "succeeded"
    rows = run.metrics()
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["stage"] for row in rows[-5:]] == ["offline", *["grpo"] * 4]
    assert rows[0]["loss"] > rows[-5]["loss"]
    assert rows[-4]["kl"] > 0.01  # To the base: 0 if GRPO had begun there.
    assert {len(rows) - 4, len(rows)} <= set(run.checkpoints())
    assert (run.path / "stages" / "offline.json").exists()
    for step in run.checkpoints():
        check_canary(bandit, run.checkpoints_path / f"step_{step}")


def test_a_run_killed_in_either_stage_goes_on_as_if_nothing_had_happened(
    bandit: Path, tmp_path: Path
) -> None:
    unbroken = make_run(tmp_path / "unbroken", bandit, recipe=RECIPE, max_steps=6, **SETTINGS)
    assert train(unbroken).state == "succeeded"
    broken = make_run(tmp_path / "broken", bandit, recipe=RECIPE, max_steps=6, **SETTINGS)
    offline_steps = sum(row["stage"] == "offline" for row in unbroken.metrics())
    for lines in (offline_steps - 1, offline_steps + 3):
        with trainer(broken) as process:
            wait_until(process, lambda: len(broken.metrics()) >= lines, f"step {lines}")  # noqa: B023
            os.killpg(process.pid, signal.SIGKILL)
    assert train(broken).state == "succeeded"
    assert numbers(broken) == numbers(unbroken)


def test_candidates_of_a_killed_run_are_not_asked_again(bandit: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, bandit, recipe=["offline"], **SETTINGS)
    assert train(run).state == "succeeded"
    path = run.path / "stages" / "offline" / "candidates.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    (run.path / "stages" / "offline.json").unlink()
    assert train(run).state == "succeeded"
    assert path.read_bytes() == whole


@pytest.mark.parametrize("objective", ["weighted", "dpo"])
def test_other_objectives_train_too(bandit: Path, tmp_path: Path, objective: str) -> None:
    chosen = SETTINGS | {"offline": SETTINGS["offline"] | {"objective": objective}}
    run = make_run(tmp_path, bandit, recipe=["offline"], **chosen)
    assert train(run).state == "succeeded"
    rows = run.metrics()
    assert rows
    assert rows[0]["grad_norm"] > 0
    adapter = run.checkpoints_path / f"step_{len(rows)}" / "adapter_model.safetensors"
    moved = {name: weight.abs().max() for name, weight in load_file(adapter).items()}
    assert max(most for name, most in moved.items() if "lora_B" in name) > 0  # It begins as 0.


def with_gold(run: RunDir, gold: str) -> RunDir:
    """The run with another gold for every question."""
    write_questions(run.request().train_data_path, [(asked, gold) for asked, _ in EASY])
    return run


def learned(run: RunDir) -> bool:
    """True if what was trained on is more probable at the end than at the beginning.

    Several different answers count as right, so the loss cannot fall to 0.
    """
    losses = [row["loss"] for row in run.metrics()]
    return bool(losses[-1] < losses[0] * 0.9)


NEVER = "SELECT max(age) + 90 FROM pets"
"""A gold that no statement of the bandit matches."""


def test_consensus_needs_no_gold_that_is_right(bandit: Path, tmp_path: Path) -> None:
    chosen = SETTINGS | {"offline": SETTINGS["offline"] | {"labels": "consensus"}}
    run = make_run(tmp_path / "agreed", bandit, recipe=["offline"], **chosen)
    assert train(with_gold(run, NEVER)).state == "succeeded"
    assert learned(run)
    by_gold = make_run(tmp_path / "gold", bandit, recipe=["offline"], **SETTINGS)
    status = train(with_gold(by_gold, NEVER))
    assert status.error is not None
    assert status.error.code == "no_training_rows"


@pytest.mark.parametrize(("samples", "rate"), [(1, 0.0), (0, None)], ids=["drawn", "golds alone"])
def test_where_nothing_is_right_the_gold_is_a_start(
    bandit: Path, tmp_path: Path, samples: int, rate: float | None
) -> None:
    offline = SETTINGS["offline"] | {"train_on_gold": True, "samples": samples}
    run = make_run(tmp_path, bandit, recipe=["offline"], **SETTINGS | {"offline": offline})
    assert train(with_gold(run, NEVER)).state == "succeeded"
    told = json.loads((run.path / "stages" / "offline.json").read_bytes())["numbers"]
    assert (told["mean_reward"], told["trained_completions"]) == (rate, len(EASY))
    assert told["candidates"] == samples * len(EASY)
    assert (run.path / "stages" / "offline" / CANDIDATES).exists() == bool(samples)
    assert learned(run)
    assert "<h2>Offline: candidates and their scores</h2>" in write_report(run).read_text()


def test_a_run_that_was_asked_to_stop_goes_on_as_if_nothing_had_happened(
    bandit: Path, tmp_path: Path
) -> None:
    rarely = SETTINGS | {"checkpoint_every": 100}
    unbroken = make_run(tmp_path / "unbroken", bandit, recipe=RECIPE, max_steps=8, **rarely)
    assert train(unbroken).state == "succeeded"
    broken = make_run(tmp_path / "broken", bandit, recipe=RECIPE, max_steps=8, **rarely)
    offline_steps = sum(row["stage"] == "offline" for row in unbroken.metrics())
    with trainer(broken) as process:
        wanted = offline_steps + 2
        wait_until(process, lambda: len(broken.metrics()) >= wanted, "grpo's second step")
        process.terminate()
        assert process.wait(timeout=240) == 0
    stopped = broken.status()
    assert stopped is not None
    assert stopped.state == "cancelled"
    assert broken.checkpoints()[-1] == stopped.step == len(broken.metrics())
    assert offline_steps < stopped.step < len(unbroken.metrics())
    first_session = float((broken.path / "stages" / "grpo.seconds").read_text())
    assert train(broken).state == "succeeded"
    ended = json.loads((broken.path / "stages" / "grpo.json").read_bytes())
    assert ended["seconds"] > first_session > 0
    assert numbers(broken) == numbers(unbroken)
    ends = [run.checkpoints_path / f"step_{len(unbroken.metrics())}" for run in (unbroken, broken)]
    assert weights_sha256(ends[0]) == weights_sha256(ends[1])


def test_a_run_starts_from_another_ones_checkpoint(bandit: Path, tmp_path: Path) -> None:
    first = make_run(tmp_path / "first", bandit, recipe=RECIPE, max_steps=2, **SETTINGS)
    assert train(first).state == "succeeded"
    parent = first.checkpoints_path / f"step_{first.checkpoints()[-1]}"
    still = SETTINGS | {"learning_rate": 1e-9}
    fork = make_run(tmp_path / "fork", bandit, max_steps=1, parent=parent, **still)
    assert train(fork).state == "succeeded"
    made = fork.checkpoints_path / "step_1"
    before, after = (load_file(at / "adapter_model.safetensors") for at in (parent, made))
    assert any(weight.abs().max() > 0.01 for name, weight in before.items() if "lora_B" in name)
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, atol=1e-6, rtol=0)
    manifest = json.loads((made / "manifest.json").read_bytes())
    assert manifest["parent_weights_sha256"] == weights_sha256(parent)


def test_a_run_killed_between_candidates_and_training_begins_with_the_same_adapter(
    bandit: Path, tmp_path: Path
) -> None:
    unbroken = make_run(tmp_path / "unbroken", bandit, recipe=["offline"], **SETTINGS)
    assert train(unbroken).state == "succeeded"
    broken = make_run(tmp_path / "broken", bandit, recipe=["offline"], **SETTINGS)
    candidates = Path("stages") / "offline" / "candidates.jsonl"
    (broken.path / candidates).parent.mkdir(parents=True)
    shutil.copy(unbroken.path / candidates, broken.path / candidates)
    assert train(broken).state == "succeeded"
    assert numbers(broken) == numbers(unbroken)


@pytest.mark.parametrize("objective", ["weighted", "dpo"])
def test_probabilities_under_another_prompt_are_refused(
    objective: str, bandit: Path, tmp_path: Path
) -> None:
    offline = SETTINGS["offline"] | {"objective": objective, "templates": ["light"]}
    run = make_run(tmp_path, bandit, recipe=["offline"], **SETTINGS | {"offline": offline})
    status = train(run)
    assert status.state == "failed"
    assert status.error is not None
    assert status.error.param == "hyperparameters.offline.templates"
