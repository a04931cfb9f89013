"""The update of the offline stage: what it trains on, how long, and the training itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peft import get_peft_model
from transformers import set_seed

from trainer.canary import CanaryQuestions
from trainer.checkpoint import partial_path
from trainer.context import Context
from trainer.dataset import Prepared
from trainer.errors import NoTrainingRows
from trainer.integrations import reporting
from trainer.manifest import keeper
from trainer.offline.candidates import Candidates
from trainer.offline.examples import Example, preference, rejection, weighted, with_gold
from trainer.offline.objectives import Objective, PreferenceLoss, WeightedLoss, rejection_loss
from trainer.offline.trainer import OfflineTrainer, as_dataset, describe_offline, offline_arguments
from trainer.progress import Recorder
from trainer.sampling import Sampler
from trainer.schedule import schedule
from trainer.stopping import StopRequested


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policy in memory."""

    model: Any
    lora: Any
    """The adapter that is still to be put on it; None if it has one, or trains all weights."""
    tokenizer: Any


def examples_of(
    context: Context, found: Sequence[Candidates], data: Prepared, sampler: Sampler
) -> list[Example]:
    """What is trained on, in the rows' order; raises NoTrainingRows if it is nothing."""
    chosen = context.settings.offline
    make = {"rejection": rejection, "weighted": weighted, "dpo": preference}[chosen.objective]
    by_id = {one.question_id: one for one in found}
    examples = []
    for row in data.rows:
        prompt, group = sampler.encode(row.prompt), by_id.get(row.question_id)
        example = make(group, prompt, chosen.completions_per_question) if group else None
        if chosen.train_on_gold:
            gold = sampler.encode_answer(row.gold_sql[0])
            example = with_gold(example, row.question_id, prompt, gold)
        if example:
            examples.append(example)
    if not examples:
        raise NoTrainingRows(
            f"no candidate of {len(found)} questions can be trained on: with "
            f"{chosen.objective!r} it takes right ones; more samples, a better base model, or "
            "offline.train_on_gold help",
            param="hyperparameters.offline",
        )
    return examples


def steps_of(context: Context, examples: int) -> int:
    """Optimiser steps: so many as the epochs make, at most `offline.max_steps`."""
    chosen = context.settings.offline
    steps = max(1, round(chosen.epochs * examples / chosen.questions_per_step))
    return min(steps, chosen.max_steps or steps)


def _objective(context: Context) -> Objective:
    chosen = context.settings
    if chosen.offline.objective == "rejection":
        return rejection_loss
    if chosen.offline.objective == "weighted":
        return WeightedLoss(chosen.epsilon, chosen.epsilon_high)
    return PreferenceLoss(chosen.offline.dpo_beta)


def _temperature(context: Context) -> float:
    """What is compared with the sampling's probabilities must be tempered as they were."""
    chosen = context.settings.offline
    return 1.0 if chosen.objective == "rejection" else chosen.temperature


def train_on(
    context: Context, loaded: Loaded, data: Prepared, examples: Sequence[Example], steps: int
) -> None:
    """From the stage's newest checkpoint to its end.

    Raises StopRequested after a stop, TrainingDiverged.
    """
    newest = max(context.run.checkpoints(), default=0) - context.steps
    if newest >= steps:
        return
    trainer = _trainer(context, loaded, data, examples, steps)
    number = context.steps + newest
    trainer.run(context.run.checkpoints_path / f"step_{number}" if newest > 0 else None)
    if trainer.state.global_step < steps:
        raise StopRequested


def _trainer(
    context: Context, loaded: Loaded, data: Prepared, examples: Sequence[Example], steps: int
) -> OfflineTrainer:
    spec, run = context.request.spec, context.run
    per_step = context.settings.offline.questions_per_step
    set_seed(spec.seed)  # A resumed session has sampled nothing: the adapter must begin the same.
    return OfflineTrainer(
        model=get_peft_model(loaded.model, loaded.lora) if loaded.lora else loaded.model,
        args=offline_arguments(
            spec, steps, partial_path(run), **reporting(run, context.request, "offline")
        ),
        train_dataset=as_dataset(examples, schedule(len(examples), per_step, steps, spec.seed)),
        processing_class=loaded.tokenizer,
        objective=_objective(context),
        temperature=_temperature(context),
        recorder=Recorder(run, context.stopper, "offline", describe_offline, offset=context.steps),
        keeper=keeper(context, "offline", data),
        canary=CanaryQuestions.of(context, loaded.tokenizer, data),
    )
