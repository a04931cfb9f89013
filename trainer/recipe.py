"""The stages of a run, one after the other; those that have ended are not done again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from service.errors import InvalidRequest
from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest, Stage
from service.text2sql.evaluation.whole_file import write_whole
from trainer.context import Context, Policy, StageResult
from trainer.files import COPIES
from trainer.questions import read_all
from trainer.scale.ranks import barrier, is_main, world_size
from trainer.stage_clock import StageClock
from trainer.stopping import Stopper, StopRequested
from trainer.verdict_source import verdict_source
from trainer.verifier_thread import VerifierThread

_JUDGING: frozenset[Stage] = frozenset({"offline", "grpo"})
"""Stages that train on verdicts."""

RunStage = Callable[[Context], StageResult]


def run_recipe(run: RunDir, request: RunRequest, stopper: Stopper) -> None:
    """Every stage of the recipe, from where an earlier session left off.

    Raises StopRequested after a stop, and what the stages raise.
    """
    asked = request.spec.resources
    workers = max(1, asked.cpus // asked.processes_per_node)
    with VerifierThread(
        request.data_dirs, workers=workers, limits=request.limits, copies_path=run.path / COPIES
    ) as verifier:
        left = [stage for stage in request.spec.recipe if not _done(run, stage)]
        # Refuses dev data that leaks, before anything is spent.
        train = read_all(request, verifier).train if left else []
        judged = train if _JUDGING.intersection(left) else []
        with verdict_source(request.spec, verifier, judged) as verdicts:
            policy = _first_policy(request)
            _run_stages(Context(run, request, verifier, stopper, policy, 0, verdicts=verdicts))


def _run_stages(start: Context) -> None:
    run, results = start.run, dict[str, StageResult]()
    for stage in start.request.spec.recipe:
        if start.stopper.requested:
            raise StopRequested
        if not _done(run, stage):
            _check_processes(stage)
            result = _timed(stage, _after(start, results))
            if is_main():
                _write(_result_path(run, stage), result)
            barrier()
        found = _result_path(run, stage).read_bytes()
        results[stage] = StageResult.model_validate_json(found)


def _check_processes(stage: Stage) -> None:
    if stage != "grpo" and world_size() > 1:
        raise InvalidRequest(
            f"the stage {stage!r} runs in one process, and there are {world_size()}: run it as a "
            "job of its own on one",
            param="recipe",
        )


def _done(run: RunDir, stage: Stage) -> bool:
    return _result_path(run, stage).exists()


def _result_path(run: RunDir, stage: Stage) -> Path:
    return run.path / "stages" / f"{stage}.json"


def _after(start: Context, results: dict[str, StageResult]) -> Context:
    """The context once these stages have ended."""
    if not results:
        return start
    last = list(results.values())[-1]
    return replace(start, policy=last.policy, steps=last.steps, results=dict(results))


def _first_policy(request: RunRequest) -> Policy:
    return Policy(
        base_model=request.spec.base_model,
        base_model_path=request.base_model_path,
        parent=request.parent_adapter_path,
        template=request.spec.hyperparameters.template,
    )


def _timed(stage: Stage, context: Context) -> StageResult:
    context.run.append_event("info", "stage_started", f"{stage} begins", stage=stage)
    clock = StageClock(context.run.path / "stages" / f"{stage}.seconds")
    with clock.kept():
        result = _stage(stage)(context)
    context.run.append_event("info", "stage_finished", f"{stage} is done", stage=stage)
    return result.model_copy(update={"seconds": clock.seconds})


def _stage(stage: Stage) -> RunStage:
    """Imported when its turn comes: one stage's libraries are not another's."""
    if stage == "select":
        from trainer.selection.stage import run_select

        return run_select
    if stage == "offline":
        from trainer.offline.stage import run_offline

        return run_offline
    if stage == "grpo":
        from trainer.grpo.stage import run_grpo

        return run_grpo
    from trainer.evaluation.stage import run_evaluate

    return run_evaluate


def _write(path: Path, result: StageResult) -> None:
    write_whole(path, result.model_dump_json(indent=1).encode())
