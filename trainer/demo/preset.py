"""The settings of the demonstration, as data."""

from pathlib import Path
from typing import Any

from service.jobs.spec import JobSpec

MODEL = "smollm2-135m-instruct"
DEV_QUESTIONS = 200
"""At most so many measure: the interval is then at most 14 points wide."""

_JOB: dict[str, Any] = {
    "recipe": ["offline", "grpo", "evaluate"],
    "base_model": MODEL,
    "max_steps": 40,
    "hyperparameters": {
        "template": "light",  # its prompts are a third of the others'; a step costs by the token
        "max_prompt_tokens": 512,
        "max_completion_tokens": 64,
        "data": {"questions": 1000, "difficulty": ["simple", "moderate"]},
        # Out of the box this model is right once in thirty questions: its own candidates teach
        # nothing, so the warm-up looks at golds.
        "offline": {
            "samples": 0,
            "train_on_gold": True,
            "learning_rate": 5e-4,
            "questions_per_step": 8,
            "epochs": 40,
            "max_steps": 125,  # 1,000 passes over 700 questions: what is left of the sample
        },
        "learning_rate": 5e-5,
        "temperature": 0.7,  # With 1 it is so rarely right that few groups have a signal.
        "group_size": 8,
        "prompts_per_step": 4,
        "refills": 2,
        "reward_copies": 3,
        "lora_rank": 16,
        "checkpoint_every": 5,
        "keep_checkpoints": 2,
        # No checkpoint is chosen by the questions that measure.
        "evaluate": {"checkpoints": 0},
    },
    "resources": {"cpus": 2, "memory_gb": 8},
}


def demo_spec(train: Path, dev: Path, seed: int, about: dict[str, str]) -> JobSpec:
    """One seed's job; `about` is kept with it."""
    data = {"train_data": str(train), "dev_data": str(dev)}
    given = {"name": f"rlvr-demo-{seed}", "seed": seed, "metadata": about}
    return JobSpec.model_validate(_JOB | data | given)


def control_spec(spec: JobSpec, steps: int) -> JobSpec:
    """As many steps of further supervised tuning, on the same questions: GRPO has to beat that."""
    given = spec.model_dump(mode="json")
    given["hyperparameters"]["offline"]["max_steps"] = steps
    return JobSpec.model_validate(
        given | {"name": f"{spec.name}-control", "recipe": ["offline", "evaluate"]}
    )
