"""canary.json: greedy answers of the policy as this trainer computes them, for a server to match.

The service has its model server say what it makes of the very same tokens
(service/models/parity.py): a wrong scale, a missing layer or another base shows at once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.text2sql.evaluation.whole_file import write_whole
from trainer.context import Context
from trainer.dataset import Messages, Prepared
from trainer.sampling import Sampler, stop_tokens

MAX_TOKENS = 64
"""Of an answer: as many as a query usually has; a longer one is cut."""
FILE = "canary.json"
_IN_CHECKPOINT = 4


@dataclass(frozen=True, slots=True)
class CanaryQuestions:
    """What a training stage asks its policy whenever it has written a checkpoint."""

    tokenizer: Any
    stops: Sequence[int]
    prompts: Sequence[Messages]

    @classmethod
    def of(cls, context: Context, tokenizer: Any, data: Prepared) -> "CanaryQuestions | None":
        """From the shorter half of the stage's prompts.

        None where the weights are split over processes: one alone cannot compute with its part.
        """
        if context.request.spec.resources.strategy in ("fsdp2", "zero3"):
            return None
        by_length = sorted(data.rows, key=lambda row: row.prompt_tokens)
        short = by_length[: max(_IN_CHECKPOINT, len(by_length) // 2)]
        every = max(1, len(short) // _IN_CHECKPOINT)
        prompts = [row.prompt for row in short[::every][:_IN_CHECKPOINT]]
        stops = stop_tokens(context.policy.base_model_path, tokenizer)
        return cls(tokenizer, stops, prompts)

    def leave(self, model: Any, checkpoint: Path) -> None:
        """Write canary.json beside an adapter; draws nothing, so that random states stay."""
        if (checkpoint / "adapter_config.json").is_file():
            sampler = Sampler(model, self.tokenizer, self.stops)
            write_canary(record(sampler, self.prompts), checkpoint)


def record(sampler: Sampler, prompts: Sequence[Messages]) -> dict[str, Any]:
    """Greedy answers with log-probabilities in nats; what ends an answer is one of its tokens."""
    answers = sampler.complete(prompts, n=1, max_tokens=MAX_TOKENS, temperature=0.0)
    return {
        "items": [
            {
                "messages": messages,
                "prompt_tokens": sampler.encode(messages),
                "tokens": answer.tokens,
                "logprobs": [round(value, 6) for value in answer.logps],
            }
            for messages, (answer,) in zip(prompts, answers, strict=True)
        ]
    }


def write_canary(recorded: dict[str, Any], out: Path) -> None:
    """Into a checkpoint's or an export's folder, whole or not at all."""
    write_whole(out / FILE, f"{json.dumps(recorded, allow_nan=False)}\n".encode())
