"""Online GRPO with the execution reward, on TRL's GRPOTrainer. Which GRPO exactly:

Each step samples `group_size` completions for each of `prompts_per_step` questions from the policy
itself, at `temperature` and without top-k or top-p, and makes one AdamW update on them
(betas 0.9 and 0.999, no weight decay, constant learning rate, gradient norm clipped at 1).

Advantage of completion i in its group (GRPO, arXiv 2402.03300, outcome supervision):

    A_i = (r_i - mean(r)) / (std(r) + 1e-4)    grpo, dapo    std with Bessel's correction
    A_i =  r_i - mean(r)                       dr_grpo       (Dr. GRPO, arXiv 2503.20783)

over the scored completions of the group; one that could not be judged has A = 0. A group whose
rewards are all equal has advantages of 0: it teaches nothing and is reported, not replaced
(`useful_groups`; DAPO's dynamic sampling, arXiv 2503.14476, is not done).

Loss of a token: -min(q A, clip(q, 1 - epsilon, 1 + epsilon_high) A), where q is the ratio of the
policy's to the sampling policy's probability. The update is on-policy, one per batch, so q = 1
where the gradient is taken and the clip (asymmetric as DAPO's clip-higher) does not bind. With
`beta` > 0 each token adds beta * (exp(d) - d - 1), d = log p_base - log p, an estimate of the KL
divergence from the base model. The mean is taken

    grpo     over the tokens of each completion, then over the completions
    dapo     over all tokens of the step
    dr_grpo  as a sum over tokens divided by completions * max_completion_tokens, a constant

Completions cut at max_completion_tokens stay in (DAPO's overlong filtering is not done): SQL that
was complete before the cut still earns its reward. Prompts are never trained on.
"""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from service.jobs.spec import Hyperparameters, JobSpec
from trainer.batching import Batching
from trainer.checkpoint import CheckpointKeeper
from trainer.model import attention
from trainer.progress import Recorder
from trainer.randomness import RandomStates
from trainer.stopping import StopRequested


def grpo_config(spec: JobSpec, batching: Batching, output_dir: Path) -> GRPOConfig:
    """TRL's configuration for a job; whatever it leaves open is in this module's docstring."""
    chosen = spec.hyperparameters
    on_cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(output_dir),
        learning_rate=chosen.learning_rate,
        lr_scheduler_type="constant",
        num_generations=chosen.group_size,
        per_device_train_batch_size=batching.sequences_per_pass,
        gradient_accumulation_steps=batching.passes,
        gradient_checkpointing=batching.checkpoint_activations,
        max_completion_length=chosen.max_completion_tokens,
        temperature=chosen.temperature,
        loss_type=chosen.loss_type,
        scale_rewards="none" if chosen.loss_type == "dr_grpo" else "group",
        beta=chosen.beta,
        epsilon=chosen.epsilon,
        epsilon_high=chosen.epsilon_high,
        num_iterations=1,
        max_steps=spec.max_steps,
        seed=spec.seed,
        shuffle_dataset=False,  # dataset.schedule has ordered the rows.
        use_cpu=on_cpu,
        bf16=on_cpu or torch.cuda.is_bf16_supported(),
        logging_steps=1,
        logging_nan_inf_filter=False,  # A loss that is no number must be seen.
        save_strategy="steps",
        save_steps=chosen.checkpoint_every,
        report_to="none",
        disable_tqdm=True,
    )


def lora_config(chosen: Hyperparameters) -> LoraConfig | None:
    """Adapters on every linear layer but the head, scaled by 2; None trains all weights."""
    if chosen.lora_rank == 0:
        return None
    return LoraConfig(
        r=chosen.lora_rank,
        lora_alpha=2 * chosen.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


class Grpo(GRPOTrainer):
    """TRL's trainer with whole checkpoints, also of a run that is stopped in the middle of a step.

    Completions are sampled with fused attention, which reads long prompts in half of the time on a
    CPU; gradients are eager attention's, whose backward pass is faster there (model.load_policy).
    """

    def __init__(self, *, recorder: Recorder, keeper: CheckpointKeeper, **given: Any) -> None:
        super().__init__(callbacks=[recorder], **given)
        self._recorder = recorder
        self._keeper = keeper
        self._whole: tuple[RandomStates, int] | None = None
        recorder.on_step_whole = self._remember

    def run(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint or the start; after StopRequested the last whole step is kept."""
        try:
            self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except StopRequested:
            self._save_last_whole_step()
            raise

    def _generate_single_turn(self, *args: Any, **options: Any) -> Any:
        with attention(self.model, "sdpa"):
            return super()._generate_single_turn(*args, **options)  # type: ignore[no-untyped-call]

    def _remember(self) -> None:
        self._whole = (RandomStates.take(), self.state.num_input_tokens_seen)

    def _save_last_whole_step(self) -> None:
        # The step that was cut off has sampled and computed gradients, no more: weights, optimizer
        # and counters are those of the step before, once these two are put back.
        if self._whole is None:
            return
        states, self.state.num_input_tokens_seen = self._whole
        states.restore()
        if not self._keeper.has(self.state.global_step):
            self._save_checkpoint(self.model, None)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]
        step = self.state.global_step
        written = Path(str(self.args.output_dir)) / f"checkpoint-{step}"
        self._keeper.publish(written, step, self._recorder.last_row)

    def create_model_card(self, *args: Any, **options: Any) -> None:
        """TRL's card describes an upload to its hub; a checkpoint has its manifest."""
