"""The stage `evaluate`: every point measured, the best one chosen on dev."""

import time
from collections.abc import Sequence
from functools import partial

from service.errors import InvalidRequest
from service.jobs.rundir import RunStatus
from trainer.context import Context, StageResult
from trainer.evaluation.loaded import Open, open_model
from trainer.evaluation.measure import Evaluator, Measured
from trainer.evaluation.numbers import LEADING, Reached, best, difference, numbers
from trainer.evaluation.points import Point, points
from trainer.evaluation.status import AskingStatus


def run_evaluate(context: Context, opened: Open | None = None) -> StageResult:
    """Base, end of each training stage, checkpoints of grpo; result.policy is the best of them.

    Points that an earlier session has finished are read, not asked again. Raises InvalidRequest
    without dev_data, or where none of its questions can be judged; StopRequested after a stop.
    """
    context.stopper.allow()
    opened = opened or partial(open_model, context)
    planned = _points(context)
    reached: list[Reached] = []
    with Evaluator(context) as evaluator:
        status = AskingStatus(context.run, "evaluate", len(planned) * len(evaluator.chosen))
        for point in planned:
            with opened(point.policy) as complete:
                found = evaluator.measure(point.policy, point.name, complete, status.done)
            reached.append(_reached(context, point, found))
            _check_judged(reached[0])
            _record(context, reached)
    return _result(context, reached)


def _points(context: Context) -> list[Point]:
    within = context.settings.evaluate.checkpoints
    return points(context.policy, context.results, context.run.checkpoints(), within)


def _reached(context: Context, point: Point, found: Measured) -> Reached:
    folder = found.folder.relative_to(context.run.path)
    made = found.manifest
    return Reached(point, found.outcomes, str(folder), made["tokens"], made["seconds"])


def _check_judged(base: Reached) -> None:
    if not base.accuracy.judged:
        statuses = ", ".join(sorted({outcome.status for outcome in base.outcomes}))
        raise InvalidRequest(
            f"no question of dev_data can be judged: {statuses}; {base.folder} has each of them",
            param="dev_data",
        )


def _record(context: Context, reached: Sequence[Reached]) -> None:
    """The newest point in metrics.jsonl and events.jsonl, once."""
    run, newest = context.run, reached[-1]
    name = newest.point.name
    if any(row.get("point") == name for row in run.metrics()):
        return
    accuracy = newest.accuracy
    run.append_event("info", "evaluated", _told(reached), point=name, step=newest.point.step)
    # Last: where this row is, the event is, too.
    run.append_metrics(
        {
            "step": newest.point.step,
            "created_at": time.time(),
            "stage": "evaluate",
            "point": name,
            "dev_accuracy": accuracy.share,
            "dev_interval_95": list(accuracy.interval),
            "dev_judged": accuracy.judged,
        }
    )


def _told(reached: Sequence[Reached]) -> str:
    newest, accuracy = reached[-1], reached[-1].accuracy
    low, high = accuracy.interval
    text = (
        f"{newest.point.name}: {LEADING} {accuracy.share or 0:.1%} ({low:.1%} to {high:.1%}), "
        f"{accuracy.right} of {accuracy.judged}"
    )
    if len(reached) == 1:
        return text
    to_base = difference(reached[0], newest, LEADING)
    low, high = to_base["interval_95"]
    return (
        f"{text}; {to_base['difference']:+.1%} to the base ({low:+.1%} to {high:+.1%}, McNemar's "
        f"p {to_base['mcnemar_p']:.2g})"
    )


def _result(context: Context, reached: Sequence[Reached]) -> StageResult:
    chosen, told = best(reached), numbers(reached)
    checkpoint = chosen.point.policy.checkpoint
    last = context.run.status() or RunStatus()
    context.run.write_status(last.model_copy(update={"best_checkpoint": checkpoint}))
    message = f"best of {len(reached)} on dev: {chosen.point.name}"
    table = [
        {k: row[k] for k in ("name", "step")} | row["accuracy"][LEADING] for row in told["points"]
    ]
    context.run.append_event("info", "best", message, table=table)
    policy = chosen.point.policy.model_copy(update={"temperature": context.policy.temperature})
    return StageResult(stage="evaluate", policy=policy, steps=context.steps, numbers=told)
