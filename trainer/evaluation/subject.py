"""What is measured: a model and all that decides what it is asked and how it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from service.jobs.spec import Hyperparameters
from service.text2sql.prompt import Budget, Template
from trainer.checkpoint import weights_sha256
from trainer.context import Policy
from trainer.dataset import CountTokens
from trainer.model import load_config, load_tokenizer, prompt_limit, token_counter

_COUNTS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Subject:
    """A policy, ready to be asked."""

    model: Mapping[str, str | None]
    """`name`, `revision` (SHA-256 of the base weights), `adapter` (of the checkpoint's weights)."""
    template: Template
    temperature: float
    max_tokens: int
    budget: Budget | None
    """Of a prompt: what the model's context leaves beside `max_tokens`. None cuts nothing."""
    count: CountTokens
    """Tokens of a prompt, chat template included."""

    def settings(self) -> dict[str, Any]:
        """What a manifest says of it."""
        return {
            "n": 1,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "template": str(self.template),
            "model": dict(self.model),
        }


def subject_of(
    policy: Policy, checkpoint: Path | None, settings: Hyperparameters, temperature: float = 0.0
) -> Subject:
    """The policy with the weights of that checkpoint, greedy unless a temperature is given.

    Raises ModelUnavailable for a folder without a model, InvalidRequest where `max_tokens` leaves
    no room for a prompt.
    """
    tokenizer = load_tokenizer(policy.base_model_path)
    config = load_config(policy.base_model_path)
    prompt_limit(config, settings)
    context = getattr(config, "max_position_embeddings", None)
    most = settings.max_completion_tokens
    return Subject(
        model={
            "name": policy.base_model,
            "revision": _sha256(policy.base_model_path),
            "adapter": _sha256(checkpoint) if checkpoint else None,
        },
        template=Template.parse(policy.template),
        temperature=temperature,
        max_tokens=most,
        budget=Budget(context - most, _text_counter(tokenizer)) if context else None,
        count=token_counter(tokenizer),
    )


@lru_cache(maxsize=64)
def _sha256(folder: Path) -> str:
    # Weights have gigabytes, and a folder's do not change while a run uses it.
    return weights_sha256(folder)


def _text_counter(tokenizer: Any) -> Callable[[str], int]:
    @lru_cache(maxsize=_COUNTS_KEPT)
    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    return count
