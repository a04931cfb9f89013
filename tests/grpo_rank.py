"""One rank of a GRPO run whose completions are replayed: python grpo_rank.py MODEL RUN

Starts as `python -m trainer` would, without verifier and sandbox. Completions and rewards are
functions of the prompt and of the place in the group, so that one process and several get the same.
The weights after the last step are the run's checkpoint.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

from service.jobs.rundir import RunDir

PROMPTS = 8
WITHOUT_SIGNAL = 3
"""All completions of this prompt are right: one rank's group is skipped, the other's is not."""
STATEMENTS = 2
"""First token that is a statement; there are four."""


def replayed(prompt: list[int], place: int) -> list[int]:
    """A completion: a statement, for some of them another, then the end."""
    number = len(prompt)
    if number == WITHOUT_SIGNAL:
        return [STATEMENTS, 1]
    first = STATEMENTS + (number + place) % 4
    return [first, STATEMENTS + place % 4, 1] if place % 2 else [first, 1]


def reward(completion_ids: list[list[int]], **columns: Any) -> list[float]:
    """1 if the first token is the first statement."""
    return [float(ids[0] == STATEMENTS) for ids in completion_ids]


def main() -> None:
    """Train and save."""
    model, folder = map(Path, sys.argv[1:])
    from datasets import Dataset

    from trainer.batching import plan
    from trainer.checkpoint import CheckpointKeeper, partial_path
    from trainer.grpo.config import grpo_config
    from trainer.grpo.trainer import Grpo
    from trainer.model import load_config, load_policy, load_tokenizer, lora_config, shape_of
    from trainer.progress import Recorder
    from trainer.scale.ranks import run_of_rank
    from trainer.stopping import Stopper

    class Replayed(Grpo):
        def _generate_single_turn(self, prompts: Any, *_: Any) -> Any:
            size = self.num_generations
            return [replayed(prompt, n % size) for n, prompt in enumerate(prompts)], None

    spec = RunDir(folder).request().spec
    chosen = spec.hyperparameters
    prompts = [[{"role": "user", "content": "pet " * (n + 1)}] for n in range(PROMPTS)]
    batching = plan(
        chosen.prompts_per_step // spec.resources.processes,
        chosen.group_size,
        64,
        shape_of(load_config(model)),
        2**30,
        on_cpu=True,
    )
    run = run_of_rank(folder)
    args = grpo_config(spec, batching, partial_path(run))
    policy, adapter = load_policy(model, None, lora_config(chosen))
    trained = Replayed(
        model=policy,
        reward_funcs=reward,
        args=args,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        processing_class=load_tokenizer(model),
        peft_config=adapter,
        recorder=Recorder(run, Stopper(), "grpo", lambda step, logs: ({"step": step} | logs, [])),
        keeper=CheckpointKeeper(run, {}),
    )
    trained.run(None)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
