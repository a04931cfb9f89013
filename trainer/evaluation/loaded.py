"""The model of a policy, in memory only while it is asked."""

import gc
import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from trainer.context import Context, Policy
from trainer.dataset import Messages
from trainer.model import load_checkpoint, load_tokenizer
from trainer.sampling import Complete, Sampler, Written, stop_tokens

Open = Callable[[Policy], AbstractContextManager[Complete]]
"""The model of a policy, for as long as the context manager is open."""


class LoadedModel:
    """Loads weights at the first prompt, and frees them when its `with` ends.

    Above temperature 0 completions are a function of the seed, the prompts and the options alone:
    the process's own random numbers are neither used nor moved on.
    """

    def __init__(self, base: Path, checkpoint: Path | None, seed: int) -> None:
        self._base = base
        self._checkpoint = checkpoint
        self._seed = seed
        self._complete: Complete | None = None

    def __enter__(self) -> "LoadedModel":
        return self

    def __exit__(self, *_: object) -> None:
        self._complete = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def __call__(
        self, prompts: Sequence[Messages], *, n: int, max_tokens: int, temperature: float
    ) -> list[list[Written]]:
        """See Complete; raises ModelUnavailable."""
        if self._complete is None:
            self._complete = self._load()
        with torch.random.fork_rng():
            torch.manual_seed(_die(self._seed, prompts, n, temperature))
            return self._complete(prompts, n=n, max_tokens=max_tokens, temperature=temperature)

    def _load(self) -> Complete:
        tokenizer = load_tokenizer(self._base)
        stops = stop_tokens(self._base, tokenizer)
        return Sampler(load_checkpoint(self._base, self._checkpoint), tokenizer, stops).complete


def open_model(context: Context, policy: Policy) -> LoadedModel:
    """The policy's model, with the weights of its checkpoint."""
    weights = policy.weights_in(context.run)
    return LoadedModel(policy.base_model_path, weights, context.request.spec.seed)


def _die(seed: int, prompts: Sequence[Messages], n: int, temperature: float) -> int:
    """63 bits."""
    said = json.dumps([seed, list(prompts), n, temperature])
    return int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big") >> 1
