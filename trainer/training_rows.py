"""The rows of a training stage: the run's questions, filtered, audited, written as prompts."""

from typing import Any, Literal

from service.text2sql.prompt import Template
from service.text2sql.questions import Question
from trainer.altered import with_copies
from trainer.context import Context
from trainer.dataset import CountTokens, Prepared, prepare
from trainer.errors import NoTrainingRows
from trainer.files import CANDIDATES, GOLDS, ROWS
from trainer.filters import keep_by_pass_rate, pass_rates
from trainer.kept_rows import settled_rows
from trainer.questions import Questions, read_all
from trainer.scale.ranks import is_main, main_first


def training_rows(
    context: Context,
    stage: Literal["offline", "grpo"],
    count_tokens: CountTokens,
    max_prompt_tokens: int,
    template: Template | None = None,
) -> Prepared:
    """What the stage trains on; the same in every session of a run. `template` None: the policy's.

    Of several ranks the first looks at golds and copies, the others find what it left: the process
    group must be there. `dropped` counts what the filters left out, too. Raises InvalidRequest,
    DevLeaksIntoTrain, NoTrainingRows, TrainingRowsChanged.
    """
    asked = template or context.template
    return main_first(lambda: _rows(context, stage, count_tokens, max_prompt_tokens, asked))


def _rows(
    context: Context,
    stage: Literal["offline", "grpo"],
    count_tokens: CountTokens,
    max_prompt_tokens: int,
    template: Template,
) -> Prepared:
    questions = read_all(context.request, context.verifier)
    need_gold = stage == "grpo" or context.settings.offline.needs_gold
    asked = _with_copies(context, questions) if need_gold else questions.train
    prepared = prepare(
        asked,
        context.verifier,
        count_tokens,
        max_prompt_tokens,
        template,
        values=context.value_indexes(),
        kept_golds=context.run.path / GOLDS,
        need_gold=need_gold,
    )
    prepared.dropped.update(questions.dropped)
    if stage == "grpo":
        _keep_by_pass_rate(context, prepared)
    path = context.folder(stage) / ROWS
    prepared.rows = settled_rows(path, str(template), prepared.rows, write=is_main())
    return prepared


def _with_copies(context: Context, questions: Questions) -> list[Question]:
    """All copies are built here: none is then waited for in a step."""
    instances = context.settings.reward_copies
    if not instances:
        return questions.train
    have = context.verifier.build_copies((q.db_id for q in questions.train), instances)
    kept = with_copies(questions.train, have, questions.dropped)
    if not kept:
        raise NoTrainingRows(
            f"no database of the training data has altered copies, {len(have)} were tried; the log "
            "says why. Set reward_copies to 0 to train without",
            param="hyperparameters.reward_copies",
        )
    return kept


def _keep_by_pass_rate(context: Context, prepared: Prepared) -> None:
    low, high = context.settings.data.min_pass_rate, context.settings.data.max_pass_rate
    path = context.run.path / "stages" / "offline" / CANDIDATES
    if (low, high) == (0.0, 1.0) or not path.exists():
        return
    prepared.rows, dropped = keep_by_pass_rate(prepared.rows, pass_rates(path), low, high)
    prepared.dropped.update(dropped)


def report_data(context: Context, data: Prepared, batching: dict[str, Any]) -> None:
    """Say what is trained on and what was left out."""
    message = f"{len(data.rows)} questions, prompts of at most {data.longest_prompt} tokens"
    about = {"rows": len(data.rows), "templates": dict(data.templates)}
    context.run.append_event("info", "data", message, **about, batching=batching)
    if data.dropped:
        left_out = ", ".join(f"{reason}: {count}" for reason, count in data.dropped.items())
        dropped = dict(data.dropped)
        context.run.append_event(
            "warning", "data_dropped", f"left out: {left_out}", dropped=dropped
        )
