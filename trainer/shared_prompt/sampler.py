"""Sampling whole groups: the prompt is read once, its completions are decoded side by side."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from service.errors import InvalidRequest
from trainer.shared_prompt.attend import bare_model, evaluating, hidden_states, replaced
from trainer.shared_prompt.decoding import Decoding
from trainer.shared_prompt.drafts import Drafts, Sampled, draw
from trainer.shared_prompt.pack import Tokens
from trainer.shared_prompt.reading import Reading, joined
from trainer.shared_prompt.support import Example, on_first_use

__all__ = ["Sampled", "sample_groups"]

_TOKENS_AT_ONCE = 2048
"""Of prompts in one forward pass."""


@torch.no_grad()
def sample_groups(
    model: Any,
    prompts: Sequence[Tokens],
    *,
    group_size: int,
    max_tokens: int,
    temperature: float,
    stops: Sequence[int],
) -> list[list[Sampled]]:
    """`group_size` completions for each prompt, drawn at `temperature` without top-k or top-p.

    Temperature 0 takes the most probable token. A completion ends with one of `stops` or after
    `max_tokens` tokens. Raises InvalidRequest for an empty prompt or a count below 1,
    ModelUnsupported for a model that it would be wrong with.
    """
    _check(prompts, group_size, max_tokens, temperature)
    if not prompts:
        return []
    on_first_use(model, "sampling", _example)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    with evaluating(model), replaced(model):
        state, logits = _read(model, [prompts[i] for i in order], group_size)
        drafts = Drafts(state.rows, max_tokens, stops, logits.device)
        _write(model, state, logits, drafts, temperature)
    written, groups = drafts.completions(), dict[int, list[Sampled]]()
    for number, place in enumerate(order):
        groups[place] = written[number * group_size : (number + 1) * group_size]
    return [groups[place] for place in range(len(prompts))]


def _read(model: Any, prompts: Sequence[Tokens], group_size: int) -> tuple[Decoding, torch.Tensor]:
    """Keys and values of all prompts, and the logits (rows, vocabulary) after each."""
    read, last = [], []
    for some in _batches(prompts):
        reading, longest = Reading(), max(map(len, some))
        ids = torch.tensor([[*p, *[0] * (longest - len(p))] for p in some], device=model.device)
        positions = torch.arange(longest, device=model.device)[None]
        hidden = hidden_states(model, ids, positions, reading)
        last.append(_logits(model, hidden[range(len(some)), [len(p) - 1 for p in some]]))
        read.append(reading)
    lengths = torch.tensor([len(p) for p in prompts], device=model.device)
    logits = torch.cat(last).repeat_interleave(group_size, dim=0)
    return Decoding(joined(read), lengths, group_size), logits


def _batches(prompts: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
    """Runs of prompts, shortest first, each within the token budget when padded."""
    start = 0
    for end in range(1, len(prompts) + 1):
        if end == len(prompts) or (end + 1 - start) * len(prompts[end]) > _TOKENS_AT_ONCE:
            yield prompts[start:end]
            start = end


def _write(
    model: Any, state: Decoding, logits: torch.Tensor, drafts: Drafts, temperature: float
) -> None:
    while True:
        tokens, logps = draw(logits, temperature)
        drafts.add(tokens, logps)
        if drafts.finished:
            return
        kept = drafts.drop_ended()
        if kept is not None:
            tokens = tokens[kept]
            state.keep(kept)
        hidden = hidden_states(model, tokens[:, None], state.next_positions()[:, None], state)
        logits = _logits(model, hidden[:, 0])


def _logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = bare_model(model).get_output_embeddings()(hidden)
    return logits.float()


def _example(model: Any, prompts: Sequence[Tokens]) -> list[Example]:
    groups = sample_groups(model, prompts, group_size=2, max_tokens=4, temperature=0, stops=())
    return [
        Example(prompt, one.tokens, one.logps)
        for prompt, group in zip(prompts, groups, strict=True)
        for one in group
    ]


def _check(prompts: Sequence[Tokens], group_size: int, max_tokens: int, temperature: float) -> None:
    if not all(prompts):
        raise InvalidRequest("a prompt is empty: at least one token is needed", param="prompts")
    for name, value in {"group_size": group_size, "max_tokens": max_tokens}.items():
        if value < 1:
            raise InvalidRequest(f"{name}={value} must be at least 1", param=name)
    if temperature < 0:
        raise InvalidRequest(f"temperature={temperature} must not be negative", param="temperature")
