"""Completions for chat prompts from a model in this process: text, tokens and log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from transformers import GenerationConfig

from trainer.dataset import Messages
from trainer.shared_prompt.sampler import Sampled, sample_groups

_COMPLETIONS_AT_ONCE = 128
"""Rows of one decoding step on a CPU: its matrix products are as fast as they get from here on."""


@dataclass(frozen=True, slots=True)
class Written:
    """One completion."""

    text: str
    """Without special tokens."""
    tokens: list[int]
    logps: list[float]
    """Of each token, in the distribution that it was drawn from."""
    finished: bool
    """It ended by itself, not at the longest length."""


class Complete(Protocol):
    """`n` completions for each prompt, in order; temperature 0 is greedy."""

    def __call__(
        self, prompts: Sequence[Messages], *, n: int, max_tokens: int, temperature: float
    ) -> list[list[Written]]: ...


class Sampler:
    """A model and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, stops: Sequence[int]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._stops = list(stops)

    def complete(
        self, prompts: Sequence[Messages], *, n: int, max_tokens: int, temperature: float
    ) -> list[list[Written]]:
        """See Complete."""
        encoded = [self.encode(prompt) for prompt in prompts]
        size = max(1, _COMPLETIONS_AT_ONCE // n)
        written: list[list[Written]] = []
        for start in range(0, len(encoded), size):
            groups = sample_groups(
                self._model,
                encoded[start : start + size],
                group_size=n,
                max_tokens=max_tokens,
                temperature=temperature,
                stops=self._stops,
            )
            written += [[self._written(one) for one in group] for group in groups]
        return written

    def encode(self, messages: Messages) -> list[int]:
        """Token ids of a prompt, with the opening of the answer."""
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )
        ids: list[int] = encoded["input_ids"]
        return ids

    def _written(self, sampled: Sampled) -> Written:
        text = self._tokenizer.decode(sampled.tokens, skip_special_tokens=True)
        finished = sampled.tokens[-1] in self._stops
        return Written(text, sampled.tokens, sampled.logps, finished)


def stop_tokens(folder: Path, tokenizer: Any) -> list[int]:
    """What ends an answer: the generation settings' tokens and the tokenizer's own."""
    stops = {tokenizer.eos_token_id}
    if (folder / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
        stops |= {found} if isinstance(found, int) else set(found or ())
    return sorted(stops - {None})
