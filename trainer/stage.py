"""The GRPO stage of a run, from job.json to the last checkpoint."""

from dataclasses import asdict
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-untyped]

from service.jobs.rundir import RunDir
from service.jobs.spec import RunRequest
from service.text2sql.prompt import Template
from service.text2sql.questions import read_questions
from trainer.batching import Batching, plan
from trainer.checkpoint import CheckpointKeeper, partial_path, rewind, weights_sha256
from trainer.dataset import Prepared, prepare, schedule
from trainer.grpo import Grpo, grpo_config, lora_config
from trainer.model import (
    load_config,
    load_policy,
    load_tokenizer,
    prompt_limit,
    shape_of,
    token_counter,
)
from trainer.progress import Recorder
from trainer.rewards import ExecutionReward
from trainer.stopping import Stopper, StopRequested
from trainer.verifier_thread import VerifierThread


def run_grpo(run: RunDir, request: RunRequest, stopper: Stopper) -> None:
    """Train from the newest checkpoint, or from the start, to `max_steps`.

    Raises StopRequested after a stop, with a checkpoint of the last whole step. Raises
    ModelUnavailable, InvalidRequest, SettingsError, NoTrainingRows, TrainingDiverged.
    """
    done, last = rewind(run), request.spec.max_steps
    if done >= last:
        return
    workers = request.spec.resources.cpus
    with VerifierThread(request.data_dirs, workers=workers, limits=request.limits) as verifier:
        trainer = _build(run, request, verifier, stopper)
        run.append_event("info", "stage_started", f"grpo: from step {done} to {last}", step=done)
        trainer.run(run.checkpoints_path / f"step_{done}" if done else None)
        if trainer.state.global_step < last:
            raise StopRequested
    run.append_event("info", "stage_finished", f"grpo: {last} steps done", step=last)


def _build(run: RunDir, request: RunRequest, verifier: VerifierThread, stopper: Stopper) -> Grpo:
    spec, chosen = request.spec, request.spec.hyperparameters
    tokenizer = load_tokenizer(request.base_model_path)
    config = load_config(request.base_model_path)
    limit = prompt_limit(config, chosen)
    questions = read_questions(request.train_data_path)
    template = Template.parse(chosen.template)
    data = prepare(questions, verifier, token_counter(tokenizer), limit, template)
    batching = _batching(request, data, config)
    _report(run, request, data, batching)
    reward = ExecutionReward(verifier.verify)
    return Grpo(
        model=load_policy(request.base_model_path, all_weights=chosen.lora_rank == 0),
        reward_funcs=reward,
        args=grpo_config(spec, batching, partial_path(run)),
        train_dataset=_ordered(request, data),
        processing_class=tokenizer,
        peft_config=lora_config(chosen),
        recorder=Recorder(run, reward, stopper, group_size=chosen.group_size),
        keeper=CheckpointKeeper(run, _about(request, data, verifier)),
    )


def _batching(request: RunRequest, data: Prepared, config: Any) -> Batching:
    chosen = request.spec.hyperparameters
    return plan(
        chosen.prompts_per_step * chosen.group_size,
        data.longest_prompt + chosen.max_completion_tokens,
        shape_of(config),
        request.spec.resources.memory_gb * 2**30,
        on_cpu=not torch.cuda.is_available(),
    )


def _ordered(request: RunRequest, data: Prepared) -> Dataset:
    """Every prompt of the run, in the order in which it will be asked."""
    spec = request.spec
    per_step = spec.hyperparameters.prompts_per_step
    order = schedule(len(data.rows), per_step, spec.max_steps, spec.seed)
    return Dataset.from_list([asdict(row) for row in data.rows]).select(order)


def _about(request: RunRequest, data: Prepared, verifier: VerifierThread) -> dict[str, Any]:
    """What every checkpoint's manifest says."""
    return {
        "job_id": request.job_id,
        "stage": "grpo",
        "base_model": request.spec.base_model,
        "base_weights_sha256": weights_sha256(request.base_model_path),
        "prompt_templates": dict(data.templates),
        "verifier_version": verifier.version,
        "seed": request.spec.seed,
    }


def _report(run: RunDir, request: RunRequest, data: Prepared, batching: Batching) -> None:
    message = (
        f"{len(data.rows)} questions, prompts of at most {data.longest_prompt} tokens; each step "
        f"in {batching.passes} passes of {batching.sequences_per_pass}"
    )
    about = {"rows": len(data.rows), "templates": dict(data.templates)}
    run.append_event("info", "data", message, **about, batching=asdict(batching))
    if data.dropped:
        left_out = ", ".join(f"{reason}: {count}" for reason, count in data.dropped.items())
        dropped = dict(data.dropped)
        run.append_event("warning", "data_dropped", f"left out: {left_out}", dropped=dropped)
    if request.spec.dev_data is not None:
        message = "dev_data is not used: this version does not evaluate while it trains"
        run.append_event("warning", "dev_data_unused", message)
