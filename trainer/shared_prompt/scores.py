"""Log-probabilities and entropies of completions, the prompt of a group computed once."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from trainer.shared_prompt.pack import Tokens, pack

Scores = tuple[torch.Tensor, torch.Tensor]


def score_group(
    model: Any, prompt: Tokens, completions: Sequence[Tokens], *, temperature: float = 1.0
) -> Scores:
    """Log-probability (with gradients) and entropy in nats of each token of each completion.

    Two fp32 tensors (T,), completion after completion. The distribution is the one that was sampled
    from: the logits divided by the temperature.
    """
    packed = pack(prompt, completions, model.device)
    # The dtype's largest negative number, not -inf, as transformers' own masks have it.
    dtype = next(model.parameters()).dtype  # DDP's wrapper has no dtype of its own.
    hidden = torch.finfo(dtype).min
    mask = torch.zeros(packed.visible.shape, dtype=dtype, device=model.device)
    out = model(
        input_ids=packed.tokens,
        attention_mask=mask.masked_fill_(~packed.visible, hidden),
        position_ids=packed.positions,
        logits_to_keep=packed.predictors,
        use_cache=False,
    )
    return _scores(out.logits[0].float() / temperature, packed.targets)


def score_batch(
    model: Any,
    prompts: tuple[torch.Tensor, torch.Tensor],
    completions: tuple[torch.Tensor, torch.Tensor],
    *,
    temperature: float = 1.0,
) -> Scores:
    """The same of a padded batch: ids and mask of prompts (B, P), of completions (B, C).

    Two tensors (B, C). Neighbours with the same prompt are one group; what the completions' mask
    leaves out is 0.
    """
    kept = completions[1].bool()
    found = [
        score_group(model, prompt, texts, temperature=temperature)
        for prompt, texts in _groups(_unpadded(*prompts), _unpadded(*completions))
    ]
    logps, entropies = (torch.cat(parts) for parts in zip(*found, strict=True))
    zeros = torch.zeros(kept.shape, device=logps.device)
    return zeros.masked_scatter(kept, logps), zeros.masked_scatter(kept, entropies)


def _groups(
    prompts: Sequence[list[int]], completions: Sequence[list[int]]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    start = 0
    for end in range(1, len(prompts) + 1):
        if end == len(prompts) or prompts[end] != prompts[start]:
            yield prompts[start], list(completions[start:end])
            start = end


def _unpadded(ids: torch.Tensor, mask: torch.Tensor) -> list[list[int]]:
    return [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]


def _scores(logits: torch.Tensor, targets: torch.Tensor) -> Scores:
    log_total = logits.logsumexp(-1)
    logps = logits.gather(-1, targets[:, None]).squeeze(-1) - log_total
    with torch.no_grad():
        probabilities = (logits - log_total[:, None]).exp()
        entropies = log_total - (probabilities * logits).sum(-1)
    return logps, entropies
