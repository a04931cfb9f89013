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
"""Of different lengths; any tokens that the smallest vocabulary has, modulo its size."""
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_ROUGH = 0.3
"""In nats, for 16-bit numbers: rounding alone is a tenth of it, a wrong position several nats."""

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
    return [[token % config.vocab_size for token in prompt] for prompt in _PROMPTS]


def _compare(model: Any, what: str, examples: Sequence[Example]) -> None:
    dtype = next(model.parameters()).dtype
    allowed = _ROUGH if torch.is_autocast_enabled("cpu") else _TOLERANCE.get(dtype, _ROUGH)
    for one in examples:
        usual = _ordinary(model, one.prompt, one.tokens)
        off = float((torch.tensor(one.logps) - usual).abs().max())
        if not off <= allowed:
            raise ModelUnsupported(
                f"{what} with a shared prompt is wrong for a model of type "
                f"{bare_model(model).config.model_type}: log-probabilities differ by {off:.3g} "
                f"from those of the ordinary computation (at most {allowed:g} is rounding)",
                param="base_model",
            )


def _ordinary(model: Any, prompt: Tokens, tokens: Tokens) -> torch.Tensor:
    """(tokens,): each token's log-probability, with the prompt before them in one row."""
    ids = torch.tensor([[*prompt, *tokens]], device=next(model.parameters()).device)
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    logps = logits[len(prompt) - 1 : -1].log_softmax(-1)
    return logps.gather(-1, ids[0, len(prompt) :, None])[:, 0].cpu()
