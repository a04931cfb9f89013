"""The offline stage's loop: one question is one pass, its prompt computed once."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset  # type: ignore[import-untyped]
from transformers import Trainer, TrainingArguments

from service.jobs.spec import JobSpec
from trainer.canary import CanaryQuestions
from trainer.checkpoint import CheckpointKeeper
from trainer.offline.examples import Example
from trainer.offline.objectives import Objective
from trainer.precision import computes_in_bf16
from trainer.progress import Recorder, Row, finite
from trainer.shared_prompt.scores import score_group
from trainer.whole_checkpoints import WholeCheckpoints


class OfflineTrainer(WholeCheckpoints, Trainer):
    """transformers' Trainer on examples, in the order in which they come."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        keeper: CheckpointKeeper,
        objective: Objective,
        temperature: float,
        canary: CanaryQuestions | None = None,
        **given: Any,
    ) -> None:
        """`temperature` is that of the probabilities which the objective is given."""
        super().__init__(callbacks=[recorder], data_collator=_as_example, **given)
        self._objective = objective
        self._temperature = temperature
        self.model_accepts_loss_kwargs = False  # The mean over a step's questions is Trainer's.
        self.keep_whole(recorder, keeper, canary)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, *_: Any, **__: Any
    ) -> Any:
        """The objective's loss of one example."""
        example: Example = inputs["example"]
        logps, _entropies = score_group(
            model, example.prompt, example.completions, temperature=self._temperature
        )
        lengths = [len(completion) for completion in example.completions]
        return self._objective(example, list(torch.split(logps, lengths)))

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


def as_dataset(examples: Sequence[Example], order: Sequence[int]) -> Dataset:
    """Every example of the stage, in the order in which it is trained on."""
    return Dataset.from_list([asdict(example) for example in examples]).select(order)


def offline_arguments(
    spec: JobSpec, steps: int, output_dir: Path, **reporting: Any
) -> TrainingArguments:
    """AdamW without weight decay, gradient norm clipped at 1, linear decay to 10 %."""
    chosen, offline = spec.hyperparameters, spec.hyperparameters.offline
    on_cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(output_dir),
        learning_rate=offline.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": 0.1},
        warmup_steps=min(5, steps // 10),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=offline.questions_per_step,
        max_steps=steps,
        seed=spec.seed,
        use_cpu=on_cpu,
        bf16=computes_in_bf16(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=chosen.checkpoint_every,
        disable_tqdm=True,
        remove_unused_columns=False,
        **({"report_to": "none"} | reporting),
    )


def describe_offline(step: int, logs: Row) -> tuple[Row, list[Row]]:
    """A row of metrics: loss, gradient norm, learning rate."""
    names = ("loss", "grad_norm", "learning_rate")
    return finite({"step": step} | {name: logs.get(name) for name in names}), []


def _as_example(rows: list[dict[str, Any]]) -> dict[str, Example]:
    (row,) = rows
    return {"example": Example(**row)}
