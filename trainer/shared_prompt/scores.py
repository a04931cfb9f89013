"""Log-probabilities and entropies of completions, the prompt of a group computed once."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from service.errors import InvalidRequest
from trainer.shared_prompt.attend import bare_model, counted, replaced
from trainer.shared_prompt.pack import Packed, Tokens, pack
from trainer.shared_prompt.scoring import Scoring
from trainer.shared_prompt.support import Example, on_first_use

Scores = tuple[torch.Tensor, torch.Tensor]


def score_group(
    model: Any, prompt: Tokens, completions: Sequence[Tokens], *, temperature: float = 1.0
) -> Scores:
    """Log-probability (with gradients) and entropy in nats of each token of each completion.

    Two fp32 tensors (T,), completion after completion. The distribution is the one that was sampled
    from: the logits divided by the temperature. Raises InvalidRequest for an empty prompt,
    ModelUnsupported for a model that it would be wrong with.
    """
    if not prompt:
        raise InvalidRequest("the prompt is empty: at least one token is needed", param="prompt")
    on_first_use(model, "scoring", _example)
    packed = pack(prompt, completions, next(model.parameters()).device)
    logits = _logits(model, packed, len(prompt), [len(c) for c in completions])
    return _scores(logits.float() / temperature, packed.targets)


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


def _logits(model: Any, packed: Packed, prompt: int, completions: Sequence[int]) -> torch.Tensor:
    """(T, vocabulary): what predicts each completion token."""
    given: dict[str, Any] = {
        "input_ids": packed.tokens,
        "position_ids": packed.positions,
        "logits_to_keep": packed.predictors,
        "use_cache": False,
    }
    if not any(completions) or _checkpoints(model):
        mask = packed.mask(next(model.parameters()).dtype)
        logits: torch.Tensor = model(attention_mask=mask, **given).logits[0]
        return logits
    blocks = Scoring(prompt, completions, packed.tokens.device)
    with replaced(model), counted(model, blocks) as through:
        logits = model(shared_prompt=through, **given).logits[0]
    return logits


def _checkpoints(model: Any) -> bool:
    # Activations are then computed again in the backward pass, where attention is the usual one.
    return bool(bare_model(model).is_gradient_checkpointing and model.training)


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


def _example(model: Any, prompts: Sequence[Tokens]) -> list[Example]:
    found = list[Example]()
    for prompt in prompts:
        texts = [list(prompt[:1]), list(prompt[1:]), list(prompt[:2])]
        logps = score_group(model, prompt, texts)[0].cpu()
        parts = torch.split(logps, [len(t) for t in texts])
        found += [Example(prompt, t, p.tolist()) for t, p in zip(texts, parts, strict=True)]
    return found
