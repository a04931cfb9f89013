"""canary.json: greedy answers of the policy as this trainer computes them, for a server to match.

The service compares its own greedy answer's mean log-probability with `mean_logprob`: a wrong scale
or a missing layer shows at once. `tokens` and `logprobs` are for those who want to look closer.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from transformers import GenerationConfig

from trainer.dataset import Messages
from trainer.shared_prompt.sampler import Sampled, sample_groups

MAX_TOKENS = 160
"""As many as the service asks for in its trial; an answer that is cut is cut in both."""
FILE = "canary.json"


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


def stop_tokens(folder: Path, tokenizer: Any) -> list[int]:
    """What ends an answer: the generation settings' tokens and the tokenizer's own."""
    stops = {tokenizer.eos_token_id}
    if (folder / "generation_config.json").is_file():
        found = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
        stops |= {found} if isinstance(found, int) else set(found or ())
    return sorted(stops - {None})


def write_canary(recorded: dict[str, Any], out: Path) -> None:
    """Into the exported folder."""
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
