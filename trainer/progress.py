"""Writes what each step gave, and says when the run may be interrupted."""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from service.jobs.rundir import RunDir, RunStatus
from service.jobs.spec import Stage
from trainer.errors import TrainingDiverged
from trainer.rewards import ExecutionReward, Rollout, breakdown, coincidences, useful_share
from trainer.scale.ranks import any_rank, gather, world_size
from trainer.stopping import Stopper

_ETA_STEPS = 5

Row = dict[str, Any]


Describe = Callable[[int, Row], tuple[Row, list[Row]]]
"""From a step's number and transformers' log of it to a row of metrics and rows of rollouts."""


class Recorder(TrainerCallback):
    """metrics.jsonl, rollouts.jsonl and status.json, one step at a time.

    A stop signal is acted on from a step's beginning to just before its optimizer step; in the rest
    weights, optimizer, files and counters change, so it waits for the end of the step. Of several
    ranks none may leave the others waiting: they agree at the end of a step.
    """

    def __init__(
        self, run: RunDir, stopper: Stopper, stage: Stage, describe: Describe, *, offset: int = 0
    ) -> None:
        self.last_row: Row = {}
        self.on_step_whole: Callable[[], None] = lambda: None
        """Called when a step is complete in every respect but its checkpoint."""
        self._run = run
        self._stopper = stopper
        self._stage: Stage = stage
        self._describe = describe
        self._offset = offset
        self._seconds: list[float] = []
        self._began = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Say that it runs."""
        self._write_status(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """Sampling, scoring and gradients follow: they change nothing that is kept."""
        self._began = time.perf_counter()
        if world_size() == 1:
            self._stopper.allow()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """The weights are about to change."""
        self._stopper.defer()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        """A stop that was asked for meanwhile ends the run here, with a checkpoint."""
        self._seconds.append(time.perf_counter() - self._began)
        self.on_step_whole()
        if any_rank(self._stopper.requested):
            control.should_save = True
            control.should_training_stop = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Write the step down; raises TrainingDiverged, before a checkpoint could be written."""
        if not logs or "loss" not in logs:
            return  # The totals at the end of the run.
        step = self._offset + state.global_step
        row, rollouts = self._describe(step, logs)
        about = {"stage": self._stage, "seconds": round(self._seconds[-1], 3)} | _peak_memory()
        self.last_row = row | about
        self._run.append_metrics(self.last_row)
        for rollout in rollouts:
            self._run.append_rollout(rollout)
        self._warn(step, row)
        self._write_status(state)
        check_finite(step, logs)

    def _warn(self, step: int, row: Row) -> None:
        if masked := row.get("verdicts", {}).get("masked"):
            message = f"step {step}: {masked} completions could not be judged and were left out"
            self._run.append_event("warning", "masked", message, step=step, masked=masked)

    def _write_status(self, state: TrainerState) -> None:
        left = state.max_steps - state.global_step
        recent = self._seconds[-_ETA_STEPS:]
        eta_s = round(statistics.median(recent) * left, 1) if recent else None
        self._run.write_status(
            RunStatus(
                state="running",
                stage=self._stage,
                step=self._offset + state.global_step,
                max_steps=self._offset + state.max_steps,
                eta_s=eta_s,
            )
        )


def describe_grpo(reward: ExecutionReward, group_size: int) -> Describe:
    """Rows of a GRPO step, with the first group as it was generated."""

    def describe(step: int, logs: Row) -> tuple[Row, list[Row]]:
        rollouts = gather(reward.take())
        shown = [rollout_row(step, rollout) for rollout in rollouts[:group_size]]
        return step_row(step, logs, rollouts, group_size), shown

    return describe


def _mean_reward(rollouts: list[Rollout]) -> float | None:
    """Over all that were judged: TRL's own would let a small refill weigh as much as the step."""
    rewards = [r.verdict.reward for r in rollouts if r.verdict.reward is not None]
    return statistics.fmean(rewards) if rewards else None


def step_row(step: int, logs: Row, rollouts: list[Rollout], group_size: int) -> Row:
    """One line of metrics.jsonl. Means are over the step's completions; null: not a number.

    `useful_groups` is the share of groups with different rewards, `entropy` and `kl` are in nats
    per token, `tokens` counts prompts and completions since the run's first step.
    """
    row = {
        "step": step,
        "created_at": time.time(),
        "reward": _mean_reward(rollouts),
        "reward_std": logs.get("reward_std"),
        "useful_groups": useful_share(rollouts, group_size),
        "verdicts": breakdown(rollouts),
        "coincidences": coincidences(rollouts),
        "completion_tokens": logs.get("completions/mean_length"),
        "truncated": logs.get("completions/clipped_ratio"),
        "entropy": logs.get("entropy"),
        "loss": logs.get("loss"),
        "grad_norm": logs.get("grad_norm"),
        "learning_rate": logs.get("learning_rate"),
        "clip_ratio": logs.get("clip_ratio/region_mean"),
        "tokens": logs.get("num_tokens"),
    }
    if "kl" in logs:
        row["kl"] = logs["kl"]
    return finite(row)


def rollout_row(step: int, rollout: Rollout) -> Row:
    """One line of rollouts.jsonl: the completion as it was generated, and its verdict."""
    verdict = rollout.verdict
    return {
        "step": step,
        "question_id": rollout.question_id,
        "db_id": rollout.db_id,
        "completion": rollout.completion,
        "sql": verdict.sql,
        "status": verdict.status,
        "reward": verdict.reward,
        "message": verdict.message,
    }


def check_finite(step: int, logs: Row) -> None:
    """Raise TrainingDiverged if loss or gradient norm is infinite or undefined."""
    for name in ("loss", "grad_norm"):
        value = logs.get(name)
        if value is not None and not math.isfinite(value):
            raise TrainingDiverged(
                f"step {step}: {name} is {value}; the weights are lost from here on. Use a lower "
                "learning_rate; checkpoints of earlier steps are whole",
                param="hyperparameters.learning_rate",
            )


def finite(row: Row) -> Row:
    """The row with null for what is no number: NaN and infinity are not JSON."""
    return {name: None if _undefined(value) else value for name, value in row.items()}


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _peak_memory() -> Row:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_memory_mb": round(peak * unit / 2**20)}
