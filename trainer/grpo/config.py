"""TRL's configuration of the online stage. Which GRPO exactly:

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
from trl.trainer.grpo_config import GRPOConfig

from service.jobs.spec import JobSpec
from trainer.batching import Batching
from trainer.precision import computes_in_bf16
from trainer.scale.options import scale_options


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
        bf16=computes_in_bf16(),
        logging_steps=1,
        logging_nan_inf_filter=False,  # A loss that is no number must be seen.
        save_strategy="steps",
        save_steps=chosen.checkpoint_every,
        disable_tqdm=True,
        **scale_options(spec),
        **({"report_to": "none"} | reporting),
    )
