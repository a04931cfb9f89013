"""The GRPO stage: from where earlier stages left the policy to `max_steps` more steps."""

from dataclasses import asdict
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-untyped]

from trainer.batching import Batching, plan
from trainer.canary import CanaryQuestions
from trainer.checkpoint import partial_path
from trainer.context import Context, StageResult
from trainer.dataset import Prepared, Row
from trainer.grpo.config import grpo_config
from trainer.grpo.refill import Refill
from trainer.grpo.trainer import Grpo
from trainer.integrations import reporting
from trainer.manifest import keeper
from trainer.model import (
    load_config,
    load_policy,
    load_tokenizer,
    lora_config,
    prompt_limit,
    shape_of,
    token_counter,
)
from trainer.progress import Recorder, describe_grpo
from trainer.rewards import ExecutionReward, Verify
from trainer.scale.ranks import failing_together
from trainer.schedule import Stream, schedule
from trainer.stopping import StopRequested
from trainer.training_rows import report_data, training_rows


def run_grpo(context: Context) -> StageResult:
    """Train from the newest checkpoint of this stage, or from its start, to its end.

    Raises StopRequested after a stop, with a checkpoint of the last whole step. Raises
    ModelUnavailable, InvalidRequest, SettingsError, NoTrainingRows, TrainingRowsChanged,
    TrainingDiverged.
    """
    last = context.steps + context.request.spec.max_steps
    newest = max(context.run.checkpoints(), default=0)
    if newest < last:
        trainer = _build(context)
        trainer.run(
            context.run.checkpoints_path / f"step_{newest}" if newest > context.steps else None
        )
        if context.steps + trainer.state.global_step < last:
            raise StopRequested
    policy = context.policy.model_copy(update={"checkpoint": last})
    return StageResult(stage="grpo", policy=policy, steps=last)


def _build(context: Context) -> Grpo:
    chosen, base = context.settings, context.policy.base_model_path
    tokenizer = load_tokenizer(base)
    limit = prompt_limit(load_config(base), chosen)
    # First the processes find each other: only one of them then looks at the golds, and under fsdp2
    # only one of a node reads the weights.
    args = grpo_config(
        context.request.spec,
        _batching(context, limit),
        partial_path(context.run),
        **reporting(context.run, context.request, "grpo"),
    )
    data = training_rows(context, "grpo", token_counter(tokenizer), limit)
    batching = _batching(context, data.longest_prompt)
    args.gradient_checkpointing = batching.checkpoint_activations  # All that the rows decide.
    report_data(context, data, asdict(batching))
    reward = ExecutionReward(_verify(context), copies=chosen.reward_copies)
    model, config = load_policy(base, context.adapter_path, lora_config(chosen))
    describe = describe_grpo(reward, chosen.group_size)
    return Grpo(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=_ordered(context, data),
        processing_class=tokenizer,
        peft_config=config,
        recorder=Recorder(context.run, context.stopper, "grpo", describe, offset=context.steps),
        keeper=keeper(context, "grpo", data),
        canary=CanaryQuestions.of(context, tokenizer, data),
        refill=_refill(context, data),
    )


def _verify(context: Context) -> Verify:
    return lambda tasks: failing_together(lambda: context.judge.verify(tasks))


def _refill(context: Context, data: Prepared) -> Refill | None:
    """Where questions come from that replace those without signal: an order of their own."""
    if not context.settings.refills:
        return None
    stream = Stream(len(data.rows), context.request.spec.seed + 1)
    return Refill([_columns(row) for row in data.rows], stream, context.settings.refills)


def _batching(context: Context, longest_prompt: int) -> Batching:
    chosen = context.settings
    return plan(
        chosen.prompts_per_step // context.request.spec.resources.processes,
        chosen.group_size,
        longest_prompt + chosen.group_size * chosen.max_completion_tokens,
        shape_of(load_config(context.policy.base_model_path)),
        context.request.spec.resources.memory_gb * 2**30,
        on_cpu=not torch.cuda.is_available(),
    )


def _ordered(context: Context, data: Prepared) -> Dataset:
    """Every prompt of the stage, in the order in which it will be asked."""
    spec = context.request.spec
    per_step = spec.hyperparameters.prompts_per_step
    order = schedule(len(data.rows), per_step, spec.max_steps, spec.seed)
    return Dataset.from_list([_columns(row) for row in data.rows]).select(order)


def _columns(row: Row) -> dict[str, Any]:
    """What sampling and reward need of a row."""
    names = ("prompt", "question_id", "db_id", "gold_sql")
    return {name: getattr(row, name) for name in names}
