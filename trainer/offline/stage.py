"""The offline stage: candidates for every question, their scores, an update on them."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from service.errors import InvalidRequest
from service.jobs.rundir import RunStatus
from service.text2sql.prompt import Template
from trainer.context import Context, StageResult
from trainer.dataset import Prepared
from trainer.files import CANDIDATES
from trainer.model import (
    load_config,
    load_policy,
    load_tokenizer,
    lora_config,
    prompt_limit,
    token_counter,
)
from trainer.offline.candidates import Asking, Candidate, Candidates, collect, read_candidates
from trainer.offline.examples import Example, merged
from trainer.offline.scores import judge_of
from trainer.offline.update import Loaded, examples_of, steps_of, train_on
from trainer.sampling import Sampler, stop_tokens
from trainer.stopping import StopRequested
from trainer.training_rows import report_data, training_rows

_LOG = logging.getLogger("trainer")


def run_offline(context: Context) -> StageResult:
    """Sample, score, train; goes on where an earlier session was stopped.

    Raises StopRequested, NoTrainingRows (no candidate can be trained on), and what run_grpo does.
    """
    _check_templates(context)
    tokenizer = load_tokenizer(context.policy.base_model_path)
    lora = lora_config(context.settings)
    model, peft = load_policy(context.policy.base_model_path, context.adapter_path, lora)
    sampler = Sampler(model, tokenizer, stop_tokens(context.policy.base_model_path, tokenizer))
    data = _data(context, tokenizer, context.policy.template)
    report_data(context, data, {})
    path = context.folder("offline") / CANDIDATES
    _collect_all(context, tokenizer, data, sampler, path)
    found = merged(read_candidates(path))
    examples = examples_of(context, found, data, sampler)
    steps = steps_of(context, len(examples))
    numbers = _numbers(found, examples)
    context.run.append_event("info", "candidates", _told(numbers), **numbers)
    train_on(context, Loaded(model, peft, tokenizer), data, examples, steps)
    last = context.steps + steps
    policy = context.policy.model_copy(update={"checkpoint": last})
    return StageResult(stage="offline", policy=policy, steps=last, numbers=numbers)


def _check_templates(context: Context) -> None:
    """Also where `select` has chosen another template than the job's."""
    chosen, own = context.settings.offline, context.policy.template
    if chosen.objective != "rejection" and chosen.templates not in ([], [own]):
        raise InvalidRequest(
            f"offline.templates={chosen.templates}: {chosen.objective!r} compares with the "
            f"probabilities under the prompt that is trained on, {own!r}; leave templates empty, "
            "or take objective 'rejection'",
            param="hyperparameters.offline.templates",
        )


def _data(context: Context, tokenizer: Any, template: str) -> Prepared:
    limit = prompt_limit(load_config(context.policy.base_model_path), context.settings)
    count = token_counter(tokenizer)
    return training_rows(context, "offline", count, limit, Template.parse(template))


def _collect_all(
    context: Context, tokenizer: Any, data: Prepared, sampler: Sampler, path: Path
) -> None:
    """Candidates of every template, the policy's own last: it is the one that is trained."""
    chosen = context.settings.offline
    if not chosen.samples:
        return
    templates = chosen.templates or [context.policy.template]
    share = max(1, chosen.samples // len(templates))
    for template in templates:
        rows = data if template == context.policy.template else _data(context, tokenizer, template)
        asking = Asking(
            complete=sampler.complete,
            score=judge_of(context),
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
    drawn = (
        f"{numbers['candidates']} candidates of {numbers['questions']} questions, mean reward "
        f"{numbers['mean_reward']}"
        if numbers["candidates"]
        else "no candidates"
    )
    return (
        f"{drawn}; training on {numbers['trained_completions']} completions of "
        f"{numbers['trained_questions']} questions"
    )
