"""A run whose checkpoint is an adapter that looks trained, on a tiny random model."""

import json
import warnings
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir
from tests.fixtures_trainer import bandit_model, make_run

_PAIRED = {"to": "base", "both": 18, "lost": 2, "won": 16, "neither": 64}
NUMBERS = {
    "metric": "bird_ex",
    "best": "grpo_step_3",
    "best_checkpoint": 3,
    "points": [
        {
            "name": "base",
            "stage": "base",
            "checkpoint": None,
            "step": 0,
            "accuracy": {"bird_ex": {"right": 20, "judged": 100}},
        },
        {
            "name": "grpo_step_3",
            "stage": "grpo",
            "checkpoint": 3,
            "step": 3,
            "accuracy": {"bird_ex": {"right": 34, "judged": 100}},
            "to_base": {"bird_ex": _PAIRED},
            "to_stage_start": {"bird_ex": _PAIRED},
        },
    ],
}
"""As the evaluate stage writes it, less what the report does not read."""


def exported_run(folder: Path, **hyperparameters: Any) -> RunDir:
    """A finished run with checkpoint 3, a dev file, and accuracies."""
    model = bandit_model(folder / "bandit")
    run = make_run(folder / "job", model, lora_rank=4, **hyperparameters)
    request = run.request()
    dev = request.train_data_path.with_name("dev.json")
    dev.write_bytes(request.train_data_path.read_bytes())
    (run.path / "job.json").write_text(
        request.model_copy(update={"dev_data_path": dev}).model_dump_json()
    )
    write_adapter_checkpoint(run.checkpoints_path / "step_3", model)
    write_stage(run, "grpo", {"checkpoint": 3}, {})
    write_stage(run, "evaluate", {"checkpoint": 3}, NUMBERS)
    run.append_event("info", "data", "3 questions", rows=3)
    run.append_event("warning", "data_dropped", "left out", dropped={"gold_empty": 2})
    run.append_metrics({"step": 3, "stage": "grpo", "reward": 0.5, "seconds": 36.0, "tokens": 900})
    return run


def write_adapter_checkpoint(folder: Path, model: Path, scale: float = 0.1) -> None:
    """What training leaves, with random matrices in the place of trained ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(1)
        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        policy = get_peft_model(base, config)
        for name, weight in policy.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weight, std=scale)
        policy.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    manifest = {"step": 3, "verifier_version": "0.1.0+verdicts-2", "base_weights_sha256": "ab" * 32}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def write_stage(run: RunDir, stage: str, policy: dict[str, Any], numbers: dict[str, Any]) -> None:
    """`stages/<stage>.json` as the recipe writes it."""
    request = run.request()
    known = {
        "base_model": request.spec.base_model,
        "base_model_path": str(request.base_model_path),
        "template": "ddl-v2",
    }
    path = run.path / "stages" / f"{stage}.json"
    path.parent.mkdir(exist_ok=True)
    found = {"stage": stage, "policy": known | policy, "steps": 3, "seconds": 1.0}
    path.write_text(json.dumps(found | {"numbers": numbers}))
