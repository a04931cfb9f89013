"""The offline stage: candidates for every question, their scores, an update on them."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from service.jobs.rundir import RunStatus
from service.text2sql.prompt import Template
from service.text2sql.types import Verdict
from trainer.checkpoint import partial_path
from trainer.context import Context, StageResult
from trainer.dataset import Prepared, Row
from trainer.errors import NoTrainingRows
from trainer.grpo import lora_config
from trainer.integrations import reporting
from trainer.model import load_config, load_policy, load_tokenizer, prompt_limit, token_counter
from trainer.offline.candidates import Asking, Candidate, Candidates, collect, read_candidates
from trainer.offline.consensus import agreed
from trainer.offline.examples import Example, merged, preference, rejection, weighted, with_gold
from trainer.offline.objectives import Objective, PreferenceLoss, WeightedLoss, rejection_loss
from trainer.offline.trainer import OfflineTrainer, as_dataset, describe_offline, offline_arguments
from trainer.progress import Recorder
from trainer.rewards import reward_task
from trainer.sampling import Sampler, stop_tokens
from trainer.schedule import schedule
from trainer.stage import keeper, report_data
from trainer.stopping import StopRequested
from trainer.training_rows import training_rows

CANDIDATES = "candidates.jsonl"
_LOG = logging.getLogger("trainer")


def run_offline(context: Context) -> StageResult:
    """Sample, score, train; goes on where an earlier session was stopped.

    Raises StopRequested, NoTrainingRows (no candidate can be trained on), and what run_grpo does.
    """
    tokenizer = load_tokenizer(context.policy.base_model_path)
    lora = lora_config(context.settings)
    model, peft = load_policy(context.policy.base_model_path, context.adapter_path, lora)
    sampler = Sampler(model, tokenizer, stop_tokens(context.policy.base_model_path, tokenizer))
    data = _data(context, tokenizer, context.policy.template)
    report_data(context, data, {})
    path = context.folder("offline") / CANDIDATES
    _collect_all(context, tokenizer, data, sampler, path)
    found = merged(read_candidates(path))
    examples = _examples(context, found, data, sampler)
    steps = _steps(context, len(examples))
    numbers = _numbers(found, examples)
    context.run.append_event("info", "candidates", _told(numbers), **numbers)
    _train(context, (model, peft), tokenizer, data, examples, steps)
    last = context.steps + steps
    policy = context.policy.model_copy(update={"checkpoint": last})
    return StageResult(stage="offline", policy=policy, steps=last, numbers=numbers)


def _data(context: Context, tokenizer: Any, template: str) -> Prepared:
    limit = prompt_limit(load_config(context.policy.base_model_path), context.settings)
    count = token_counter(tokenizer)
    return training_rows(context, "offline", count, limit, Template.parse(template))


def _collect_all(
    context: Context, tokenizer: Any, data: Prepared, sampler: Sampler, path: Path
) -> None:
    """Candidates of every template, the policy's own last: it is the one that is trained."""
    chosen = context.settings.offline
    templates = chosen.templates or [context.policy.template]
    share = max(1, chosen.samples // len(templates))
    for template in templates:
        rows = data if template == context.policy.template else _data(context, tokenizer, template)
        asking = Asking(
            complete=sampler.complete,
            score=_score(context),
            samples=share,
            max_tokens=context.settings.max_completion_tokens,
            temperature=chosen.temperature,
            seed=context.request.spec.seed,
        )
        collect(path, rows.rows, template, asking, partial(_progress, context, len(rows.rows)))


def _progress(context: Context, questions: int, asked: int) -> None:
    context.run.write_status(
        RunStatus(state="running", stage="offline", step=context.steps, max_steps=context.steps + 1)
    )
    _LOG.info("candidates: %d of %d questions", asked, questions)
    if context.stopper.requested:
        raise StopRequested


def _score(
    context: Context,
) -> Callable[[Sequence[Row], Sequence[Sequence[str]]], list[list[Verdict]]]:
    verify = context.verifier.verify

    def by_gold(rows: Sequence[Row], groups: Sequence[Sequence[str]]) -> list[list[Verdict]]:
        tasks = [
            reward_task(row.db_id, row.gold_sql, texts, copies=context.settings.reward_copies)
            for row, texts in zip(rows, groups, strict=True)
        ]
        return [report.verdicts for report in verify(tasks)]

    def by_consensus(rows: Sequence[Row], groups: Sequence[Sequence[str]]) -> list[list[Verdict]]:
        return [agreed(r.db_id, texts, verify) for r, texts in zip(rows, groups, strict=True)]

    return by_gold if context.settings.offline.labels == "gold" else by_consensus


def _examples(
    context: Context, found: Sequence[Candidates], data: Prepared, sampler: Sampler
) -> list[Example]:
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


def _steps(context: Context, examples: int) -> int:
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


def _train(
    context: Context,
    loaded: tuple[Any, Any],
    tokenizer: Any,
    data: Prepared,
    examples: Sequence[Example],
    steps: int,
) -> None:
    from peft import get_peft_model

    model, peft = loaded
    chosen, spec = context.settings.offline, context.request.spec
    newest = max(context.run.checkpoints(), default=0) - context.steps
    if newest >= steps:
        return
    order = schedule(len(examples), chosen.questions_per_step, steps, spec.seed)
    trainer = OfflineTrainer(
        model=get_peft_model(model, peft) if peft else model,
        args=offline_arguments(
            spec,
            steps,
            partial_path(context.run),
            **reporting(context.run, context.request, "offline"),
        ),
        train_dataset=as_dataset(examples, order),
        processing_class=tokenizer,
        objective=_objective(context),
        recorder=Recorder(
            context.run, context.stopper, "offline", describe_offline, offset=context.steps
        ),
        keeper=keeper(context, "offline", data),
    )
    number = context.steps + newest
    trainer.run(context.run.checkpoints_path / f"step_{number}" if newest > 0 else None)
    if trainer.state.global_step < steps:
        raise StopRequested


def _numbers(found: Sequence[Candidates], examples: Sequence[Example]) -> dict[str, Any]:
    rates = [rate for one in found if (rate := one.pass_rate) is not None]
    completions: list[Candidate] = [c for one in found for c in one.completions]
    return {
        "questions": len(found),
        "candidates": len(completions),
        "mean_reward": round(fmean(rates), 4) if rates else None,
        "all_right": sum(rate == 1 for rate in rates),
        "all_wrong": sum(rate == 0 for rate in rates),
        "not_judged": len(found) - len(rates),
        "trained_questions": len(examples),
        "trained_completions": sum(len(e.completions) for e in examples),
        "sampled_tokens": sum(len(c.tokens) for c in completions),
    }


def _told(numbers: dict[str, Any]) -> str:
    return (
        f"{numbers['candidates']} candidates of {numbers['questions']} questions, mean reward "
        f"{numbers['mean_reward']}; training on {numbers['trained_completions']} completions of "
        f"{numbers['trained_questions']} questions"
    )
