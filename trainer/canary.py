"""canary.json: greedy answers of the policy as this trainer computes them, for a server to match.

The service compares its own greedy answer's mean log-probability with `mean_logprob`: a wrong scale
or a missing layer shows at once. `tokens` and `logprobs` are for those who want to look closer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.dataset import Messages, Prepared
from trainer.sampling import stop_tokens
from trainer.shared_prompt.sampler import Sampled, sample_groups

MAX_TOKENS = 160
"""As many as the service asks for in its trial; an answer that is cut is cut in both."""
FILE = "canary.json"
_IN_CHECKPOINT = 4
"""Prompts: some seconds on a CPU, beside minutes between two checkpoints."""


@dataclass(frozen=True, slots=True)
class Canary:
    """What a training stage asks its policy whenever it writes a checkpoint."""

    tokenizer: Any
    stops: Sequence[int]
    prompts: Sequence[Messages]

    @classmethod
    def of(cls, base: Path, tokenizer: Any, data: Prepared) -> "Canary":
        """Prompts spread evenly over the stage's rows; `base` is the base model's folder."""
        every = max(1, len(data.rows) // _IN_CHECKPOINT)
        prompts = [row.prompt for row in data.rows[::every][:_IN_CHECKPOINT]]
        return cls(tokenizer, stop_tokens(base, tokenizer), prompts)

    def leave(self, model: Any, checkpoint: Path) -> None:
        """Write canary.json beside an adapter; draws nothing, so that random states stay."""
        if (checkpoint / "adapter_config.json").is_file():
            write_canary(record(model, self.tokenizer, self.stops, self.prompts), checkpoint)


def record(
    model: Any, tokenizer: Any, stops: Sequence[int], prompts: Sequence[Messages]
) -> dict[str, Any]:
    """Greedy, in nats; the token that ends an answer counts, as it does in the server's mean."""
    encoded = [_encode(tokenizer, messages) for messages in prompts]
    groups = sample_groups(
        model, encoded, group_size=1, max_tokens=MAX_TOKENS, temperature=0.0, stops=stops
    )
    items = [_item(messages, group[0]) for messages, group in zip(prompts, groups, strict=True)]
    return {"max_tokens": MAX_TOKENS, "temperature": 0.0, "items": items}


def write_canary(recorded: dict[str, Any], out: Path) -> None:
    """Into a checkpoint's or an export's folder."""
    (out / FILE).write_text(json.dumps(recorded, indent=1, allow_nan=False) + "\n")


def _encode(tokenizer: Any, messages: Messages) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ids: list[int] = encoded["input_ids"]
    return ids


def _item(messages: Messages, answer: Sampled) -> dict[str, Any]:
    return {
        "messages": messages,
        "mean_logprob": fmean(answer.logps),
        "tokens": answer.tokens,
        "logprobs": [round(value, 6) for value in answer.logps],
    }
