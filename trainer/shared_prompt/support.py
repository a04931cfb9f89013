"""Which models a prompt can be shared in: by their configuration, and by trying it once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch

from trainer.errors import ModelUnsupported
from trainer.shared_prompt.attend import bare_model, evaluating
from trainer.shared_prompt.pack import Tokens

_PROMPTS = ((3, 1, 4, 1, 5, 9, 2), (2, 7, 1))
"""Of different lengths, in elevenths of the vocabulary: the first tokens of one are often special
tokens, whose improbable neighbours no two implementations of bf16 attention agree on."""
_ALLOWED = 0.4
"""Mean difference in nats with 16-bit numbers. A 135M Llama has 0.02 to 0.08 between right ones, 1
to 5 where a completion's positions are off by two or it sees two tokens of another."""
_ALLOWED_PRECISE = 1e-3

_tried: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Example:
    """A completion and the log-probabilities (at temperature 1) that were computed for it."""

    prompt: Tokens
    tokens: Tokens
    logps: Sequence[float]


def on_first_use(
    model: Any, what: str, example: Callable[[Any, Sequence[Tokens]], Sequence[Example]]
) -> None:
    """Compare `example(model, prompts)` with the ordinary forward pass, once a model and `what`.

    Takes a few passes of some tokens; draws no random numbers. Raises ModelUnsupported if layers
    see less than all earlier tokens, or if the log-probabilities differ.
    """
    bare = bare_model(model)
    done = _tried.setdefault(bare, set())
    if what in done:
        return
    _check_layers(bare.config)
    done.add(what)  # Before: the example comes through here.
    try:
        with torch.no_grad(), evaluating(model):
            _compare(model, what, example(model, _prompts(bare.config)))
    except BaseException:
        done.discard(what)
        raise


def _check_layers(config: Any) -> None:
    """Raises ModelUnsupported unless every layer sees every earlier token."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
    # A window without a list of layers is one for all of them (Mistral, Phi-3).
    window = getattr(config, "sliding_window", None)
    if not kinds and (window is None or getattr(config, "layer_types", None)):
        return
    kind = ", ".join(sorted(kinds)) or f"a window of {window} tokens"
    raise ModelUnsupported(
        f"a prompt cannot be shared in a model of type {config.model_type}: it has layers with "
        f"{kind}; every layer must be full_attention",
        param="base_model",
    )


def _prompts(config: Any) -> list[list[int]]:
    return [[part * config.vocab_size // 11 for part in prompt] for prompt in _PROMPTS]


def _compare(model: Any, what: str, examples: Sequence[Example]) -> None:
    usual = torch.cat([_ordinary(model, one.prompt, one.tokens) for one in examples])
    found = torch.tensor([logp for one in examples for logp in one.logps])
    off, allowed = float((found - usual).abs().mean()), _allowed(model)
    if not off <= allowed:
        raise ModelUnsupported(
            f"{what} with a shared prompt is wrong for a model of type "
            f"{bare_model(model).config.model_type}: log-probabilities differ by {off:.3g} on the "
            f"mean from those of the ordinary computation (at most {allowed:g} is rounding)",
            param="base_model",
        )


def _allowed(model: Any) -> float:
    device = next(model.parameters()).device.type
    rough = {p.dtype for p in model.parameters()} & {torch.bfloat16, torch.float16}
    return _ALLOWED if rough or torch.is_autocast_enabled(device) else _ALLOWED_PRECISE


def _ordinary(model: Any, prompt: Tokens, tokens: Tokens) -> torch.Tensor:
    """(tokens,): each token's log-probability, with the prompt before them in one row."""
    ids = torch.tensor([[*prompt, *tokens]], device=next(model.parameters()).device)
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0].float()
    logps = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return logps.gather(-1, ids[0, len(prompt) :, None])[:, 0].cpu()
