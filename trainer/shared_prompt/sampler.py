"""Sampling whole groups: the prompt is read once, its completions are decoded side by side."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from trainer.shared_prompt.attend import NAME, Decoding, Reading
from trainer.shared_prompt.pack import Tokens

_TOKENS_AT_ONCE = 2048
"""Of prompts in one forward pass."""
_SHRINK = 0.9
"""Rows are moved together once fewer than this share of them is still being written."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion."""

    tokens: list[int]
    """With the token that ended it, if one did."""
    logps: list[float]
    """Of each token, in the distribution it was drawn from."""


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
    `max_tokens` tokens.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    with _attention(model):
        reading, logits = _read(model, [prompts[i] for i in order], max_tokens, group_size)
        written = _write(model, reading, logits, max_tokens, temperature, stops)
    groups: list[list[Sampled]] = [[] for _ in prompts]
    for number, place in enumerate(order):
        groups[place] = written[number * group_size : (number + 1) * group_size]
    return groups


def _read(
    model: Any, prompts: Sequence[Tokens], max_tokens: int, group_size: int
) -> tuple[Decoding, torch.Tensor]:
    """Keys and values of all prompts, and the logits (prompts, vocabulary) after each."""
    read, last = [], []
    for some in _batches(prompts):
        longest = max(map(len, some))
        ids = torch.tensor([[*p, *[0] * (longest - len(p))] for p in some], device=model.device)
        reading = Reading()
        ends = torch.tensor([len(p) - 1 for p in some], device=model.device)
        hidden = _hidden(model, ids, torch.arange(longest, device=model.device)[None], reading)
        last.append(_head(model)(hidden[torch.arange(len(some)), ends]).float())
        read.append(reading)
    lengths = torch.tensor([len(p) for p in prompts], device=model.device)
    return Decoding.after(read, lengths, group_size, max_tokens), torch.cat(last)


def _batches(prompts: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
    """Runs of prompts, shortest first, each within the token budget when padded."""
    start = 0
    for end in range(1, len(prompts) + 1):
        if end == len(prompts) or (end + 1 - start) * len(prompts[end]) > _TOKENS_AT_ONCE:
            yield prompts[start:end]
            start = end


def _write(
    model: Any,
    state: Decoding,
    logits: torch.Tensor,
    max_tokens: int,
    temperature: float,
    stops: Sequence[int],
) -> list[Sampled]:
    rows = state.rows
    logits = logits.repeat_interleave(state.group_size, dim=0)
    tokens = torch.zeros(rows, max_tokens, dtype=torch.long, device=logits.device)
    logps = torch.zeros(rows, max_tokens, device=logits.device)
    lengths = torch.full((rows,), max_tokens, device=logits.device)
    ends = torch.tensor(list(stops), device=logits.device)
    alive = torch.arange(rows, device=logits.device)  # Which completion a row of `state` is.
    done = torch.zeros(rows, dtype=torch.bool, device=logits.device)  # By row of `state`.
    for place in range(max_tokens):
        drawn, drawn_logps = _draw(logits, temperature)
        going = alive[~done]
        tokens[going, place], logps[going, place] = drawn[~done], drawn_logps[~done]
        ended = torch.isin(drawn, ends) & ~done
        lengths[alive[ended]] = place + 1
        done |= ended
        if done.all() or place + 1 == max_tokens:
            break
        if (~done).sum() < _SHRINK * len(done):
            drawn, alive = drawn[~done], alive[~done]
            state.keep(~done)
            done = torch.zeros_like(alive, dtype=torch.bool)
        hidden = _hidden(model, drawn[:, None], state.next_positions()[:, None], state)
        logits = _head(model)(hidden[:, 0]).float()
    return [
        Sampled(tokens[i, :n].tolist(), logps[i, :n].tolist())
        for i, n in enumerate(lengths.tolist())
    ]


def _draw(logits: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A token for each row and its log-probability; one random number a row."""
    if temperature == 0:
        chosen = logits.argmax(-1, keepdim=True)
        return chosen[:, 0], (logits.gather(-1, chosen) - logits.logsumexp(-1, keepdim=True))[:, 0]
    logits = logits / temperature
    logits -= logits.amax(-1, keepdim=True)
    cumulative = logits.exp().cumsum_(-1)
    total = cumulative[:, -1:]
    # Rounding may leave the last sum a little short of its parts: never past the end.
    threshold = torch.rand_like(total) * total
    chosen = torch.searchsorted(cumulative, threshold, right=True).clamp_(max=logits.shape[1] - 1)
    return chosen[:, 0], (logits.gather(-1, chosen) - total.log())[:, 0]


def _hidden(model: Any, ids: torch.Tensor, positions: torch.Tensor, state: Any) -> torch.Tensor:
    body = _bare(model).model
    out = body(input_ids=ids, position_ids=positions, use_cache=False, shared_prompt=state)
    hidden: torch.Tensor = out.last_hidden_state
    return hidden


def _head(model: Any) -> Any:
    return _bare(model).get_output_embeddings()


def _bare(model: Any) -> Any:
    # An adapter wraps the base model's modules where they stand.
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@contextmanager
def _attention(model: Any) -> Iterator[None]:
    bare = _bare(model)
    usual, training = bare.config._attn_implementation, model.training
    bare.set_attn_implementation(NAME)
    model.eval()
    try:
        yield
    finally:
        bare.set_attn_implementation(usual)
        model.train(training)
