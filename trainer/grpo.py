"""Online GRPO with the execution reward, on TRL's GRPOTrainer. Which GRPO exactly:

Each step samples `group_size` completions for each of `prompts_per_step` questions from the policy
itself, at `temperature` and without top-k or top-p, and makes one AdamW update on them
(betas 0.9 and 0.999, no weight decay, constant learning rate, gradient norm clipped at 1).

Advantage of completion i in its group (GRPO, arXiv 2402.03300, outcome supervision):

    A_i = (r_i - mean(r)) / (std(r) + 1e-4)    grpo, dapo    std with Bessel's correction
    A_i =  r_i - mean(r)                       dr_grpo       (Dr. GRPO, arXiv 2503.20783)

over the scored completions of the group; one that could not be judged has A = 0. A group whose
rewards are all equal has advantages of 0: it teaches nothing. It is reported (`useful_groups`) and,
up to `refills` times a step, replaced by that of another question (DAPO's dynamic sampling,
arXiv 2503.14476, section 3.2, bounded).

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
from trl.trainer.utils import split_tensor_dict

from service.jobs.spec import Hyperparameters, JobSpec
from trainer.batching import Batching
from trainer.checkpoint import CheckpointKeeper
from trainer.progress import Recorder
from trainer.refill import Refill
from trainer.scale.options import scale_options
from trainer.shared_prompt.sampler import sample_groups
from trainer.shared_prompt.scores import score_batch
from trainer.whole_checkpoints import WholeCheckpoints


def grpo_config(
    spec: JobSpec, batching: Batching, output_dir: Path, **reporting: Any
) -> GRPOConfig:
    """TRL's configuration for a job; whatever it leaves open is in this module's docstring."""
    chosen = spec.hyperparameters
    on_cpu = not torch.cuda.is_available()
    return GRPOConfig(
        output_dir=str(output_dir),
        learning_rate=chosen.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=chosen.warmup_steps,
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
        disable_tqdm=True,
        **scale_options(spec),
        **({"report_to": "none"} | reporting),
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


class Grpo(WholeCheckpoints, GRPOTrainer):
    """TRL's trainer, with a group's prompt computed once in sampling and in the update.

    One pass of the update is one group. A group whose advantages are all 0 has a gradient of
    exactly 0 unless `beta` pulls at it, so its pass is skipped. `entropy`, `kl` and clip ratios in
    the metrics are therefore of the groups that teach something.
    """

    _refill: Refill | None = None
    _passes: list[dict[str, Any]] | None = None

    def __init__(
        self,
        *,
        recorder: Recorder,
        keeper: CheckpointKeeper,
        refill: Refill | None = None,
        **given: Any,
    ) -> None:
        super().__init__(callbacks=[recorder], **given)
        self._refill = refill
        self.keep_whole(recorder, keeper, refill)

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, fields: Any, num_generations: int, *_: Any
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        if self.use_vllm:
            return super()._generate_single_turn(  # type: ignore[no-any-return, no-untyped-call]
                prompt_ids, images, fields, num_generations
            )
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            groups = sample_groups(
                self.accelerator.unwrap_model(self.model),
                prompt_ids[::num_generations],
                group_size=num_generations,
                max_tokens=int(self.max_completion_length or 0),
                temperature=self.temperature,
                stops=self.eos_token_ids,
            )
        return [one.tokens for group in groups for one in group], None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        *_: Any,
        **__: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        at = input_ids.shape[1] - logits_to_keep
        logps, entropies = score_batch(
            model,
            (input_ids[:, :at], attention_mask[:, :at]),
            (input_ids[:, at:], attention_mask[:, at:]),
            temperature=self.temperature,
        )
        return logps, entropies, None

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        # TRL shuffles the completions over the passes, which would tear the groups apart.
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        passes = self.args.steps_per_generation
        if self._step % (passes * self.num_iterations) == 0 or not self._passes:
            scored = self._generate_and_score_completions(generation_batch)
            if self._refill is not None:
                scored = self._refill.apply(
                    scored, int(self.num_generations or 0), self._generate_and_score_completions
                )
            self._passes = list(split_tensor_dict(scored, passes))
        return self._passes[self._step % passes]

    def _compute_loss(self, model: Any, inputs: Any) -> torch.Tensor:
        alone = self.accelerator.num_processes == 1  # Other ranks would wait for this one's pass.
        if alone and self.beta == 0 and not inputs["advantages"].any():
            return torch.zeros((), device=self.accelerator.device, requires_grad=True)
        return super()._compute_loss(model, inputs)  # type: ignore[no-any-return, no-untyped-call]

    def create_model_card(self, *args: Any, **options: Any) -> None:
        """TRL's card describes an upload to its hub; a checkpoint has its manifest."""
