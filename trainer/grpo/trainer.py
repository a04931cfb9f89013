"""TRL's GRPOTrainer, with a group's prompt computed once; which GRPO it is stands in config.py."""

from typing import Any

import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import split_tensor_dict

from trainer.canary import CanaryQuestions
from trainer.checkpoint import CheckpointKeeper
from trainer.grpo.refill import Refill
from trainer.progress import Recorder
from trainer.shared_prompt.sampler import sample_groups
from trainer.shared_prompt.scores import score_batch
from trainer.whole_checkpoints import WholeCheckpoints


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
        canary: CanaryQuestions | None = None,
        refill: Refill | None = None,
        **given: Any,
    ) -> None:
        super().__init__(callbacks=[recorder], **given)
        self._refer_to_the_base()
        self._refill = refill
        self.keep_whole(recorder, keeper, canary, refill)

    def _refer_to_the_base(self) -> None:
        """The KL penalty holds to the base model, which is the one with its adapters off.

        TRL would keep a copy of the adapter that training starts from as `ref`. Its folder in a
        checkpoint makes transformers pass over the trained adapter when it resumes.
        """
        if "ref" in getattr(self.model, "peft_config", {}):
            self.model.delete_adapter("ref")

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
