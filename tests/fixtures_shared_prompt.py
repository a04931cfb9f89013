"""Tiny random models of several kinds, and the ordinary computation on them."""

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 40
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    # Large, so that attention matters to the logits.
    "initializer_range": 0.3,
    "attn_implementation": "eager",
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}


def llama(**changes: Any) -> Any:
    """Two layers, 4 heads of which pairs share keys, embeddings apart from the head."""
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**(SIZES | changes)))


def qwen2(**changes: Any) -> Any:
    """The same with biases, which are not 0."""
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(Qwen2Config(**(SIZES | changes)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return model


def with_lora(model: Any) -> Any:
    """With an adapter on every linear layer that changes what the model says."""
    settings = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, settings)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return adapted


MODELS = {
    "llama": lambda: llama(),
    "llama without GQA": lambda: llama(num_key_value_heads=4),
    "llama, one KV head": lambda: llama(num_key_value_heads=1),
    "llama, tied embeddings": lambda: llama(tie_word_embeddings=True),
    "llama, sdpa": lambda: llama(attn_implementation="sdpa"),
    "llama with LoRA": lambda: with_lora(llama()),
    "qwen2": lambda: qwen2(),
    "qwen2, tied, with LoRA": lambda: with_lora(qwen2(tie_word_embeddings=True)),
}


def ordinary(
    model: Any, prompt: Sequence[int], completion: Sequence[int], temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies of one completion with its own copy of the prompt."""
    ids = torch.tensor([[*prompt, *completion]])
    logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float() / temperature
    logps = logits.log_softmax(-1)
    entropies = -(logps.exp() * logps).sum(-1)
    return logps.gather(-1, torch.tensor(list(completion))[:, None])[:, 0], entropies.detach()


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of all trainable weights, by name."""
    model.zero_grad()
    loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
