"""The door into a model's attention: layers hand queries, keys and values to an object of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch.nn.parallel import DistributedDataParallel
from transformers import AttentionInterface

from trainer.errors import ModelUnsupported

NAME = "verisql_shared_prompt"

_HARMLESS = {"position_ids", "use_cache", "is_causal", "return_dict", "output_attentions"}
"""What layers pass on and attention may ignore. All else changes it: soft-capping, sinks, ..."""


class Attention(Protocol):
    """What takes the place of a model's attention for one or more forward passes."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        scaling: float,
        dropout: float,
    ) -> torch.Tensor:
        """Query (B, heads, n, size), key and value (B, KV heads, n, size) to (B, n, heads, size).

        `dropout` is the probability of leaving an attention weight out.
        """


class Counted:
    """One forward pass: its attention, and how many layers asked for it."""

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self.layers = 0


def bare_model(model: Any) -> Any:
    """The transformers model inside wrappers; an adapter's layers stand in it where they belong."""
    if isinstance(model, DistributedDataParallel):
        model = model.module
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def hidden_states(
    model: Any, ids: torch.Tensor, positions: torch.Tensor, attention: Attention
) -> torch.Tensor:
    """(B, n, hidden) of tokens (B, n) at positions (B or 1, n), before the head.

    To be called within `replaced`. Raises ModelUnsupported if a layer did not ask `attention`.
    """
    with counted(model, attention) as through:
        out = bare_model(model).base_model(
            input_ids=ids, position_ids=positions, use_cache=False, shared_prompt=through
        )
    hidden: torch.Tensor = out.last_hidden_state
    return hidden


@contextmanager
def counted(model: Any, attention: Attention) -> Iterator[Counted]:
    """What to pass to the model as `shared_prompt`; every layer must have asked it by the end."""
    through = Counted(attention)
    config = bare_model(model).config
    try:
        yield through
    except TypeError as error:
        if "shared_prompt" not in str(error):
            raise
        raise _unsupported(config, "does not pass arguments down to its attention") from error
    if through.layers != config.num_hidden_layers:
        raise _unsupported(
            config,
            f"{through.layers} of its {config.num_hidden_layers} layers use transformers' "
            "AttentionInterface",
        )


@contextmanager
def replaced(model: Any) -> Iterator[None]:
    """Attention is what `shared_prompt` says; model and flags are as before afterwards."""
    bare = bare_model(model)
    usual = bare.config._attn_implementation
    bare.set_attn_implementation(NAME)
    try:
        yield
    finally:
        bare.set_attn_implementation(usual)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """No dropout and no checkpointing of activations; each module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _unsupported(config: Any, why: str) -> ModelUnsupported:
    return ModelUnsupported(
        f"a prompt cannot be shared in a model of type {config.model_type}: {why}",
        param="base_model",
    )


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    shared_prompt: Counted | None = None,
    **rest: Any,
) -> tuple[torch.Tensor, None]:
    if shared_prompt is None:
        raise _unsupported(module.config, "does not pass arguments down to its attention")
    unknown = [name for name, given in rest.items() if given is not None and name not in _HARMLESS]
    if unknown:
        raise _unsupported(module.config, f"its attention has {', '.join(unknown)}")
    shared_prompt.layers += 1
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended = shared_prompt.attention.attend(
        module.layer_idx, query, key, value, scaling=scaling, dropout=dropout
    )
    return attended, None


AttentionInterface.register(NAME, _attend)
