"""The base model from its local folder: tokenizer, sizes, weights."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from service.errors import InvalidRequest, ModelUnavailable
from service.jobs.spec import Hyperparameters
from trainer.batching import Shape
from trainer.dataset import CountTokens, Messages
from trainer.precision import frozen_dtype


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer, padding on the left so that completions begin at one column."""
    _check_folder(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left", local_files_only=True)
    if tokenizer.chat_template is None:
        raise ModelUnavailable(
            f"{folder} has no chat template: an instruction-tuned model is needed",
            param="base_model",
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def token_counter(tokenizer: Any) -> CountTokens:
    """Counts a prompt's tokens as the trainer will see them: chat template and answer's opening."""

    def count(messages: Messages) -> int:
        encoded = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return len(encoded["input_ids"])

    return count


def load_config(folder: Path) -> Any:
    """The text model's configuration."""
    _check_folder(folder)
    return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()


def shape_of(config: Any) -> Shape:
    """The sizes that memory depends on."""
    return Shape(
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
    )


def prompt_limit(config: Any, hyperparameters: Hyperparameters) -> int:
    """Longest prompt in tokens that both the job and the model's context allow.

    Raises InvalidRequest if the completion alone fills the context.
    """
    context: int = getattr(config, "max_position_embeddings", None) or 2**31
    completion = hyperparameters.max_completion_tokens
    if completion >= context:
        raise InvalidRequest(
            f"max_completion_tokens={completion} leaves no room for a prompt in the model's "
            f"context of {context} tokens",
            param="hyperparameters.max_completion_tokens",
        )
    return min(hyperparameters.max_prompt_tokens, context - completion)


def load_policy(folder: Path, adapter: Path | None, lora: Any) -> tuple[Any, Any]:
    """The model to train, and what TRL shall still put on it: a new adapter, or nothing.

    `adapter` is a checkpoint of an earlier stage, an adapter if `lora` is one and else full
    weights. Frozen weights under an adapter are of `frozen_dtype`. Weights that are trained stay in
    fp32: bf16 has 8 bits of precision, and steps as small as a learning rate of 1e-5 makes them
    would be rounded away.
    """
    if lora is None:
        whole = _load(adapter or folder, torch.float32)
        whole.config._name_or_path = str(folder)  # Where TRL finds what the KL penalty refers to.
        return whole, None
    model = _load(folder, frozen_dtype())
    if adapter is None:
        return model, lora
    return PeftModel.from_pretrained(model, adapter, is_trainable=True), None


def load_checkpoint(base: Path, checkpoint: Path | None) -> Any:
    """A model to ask, not to train: the base, or what a checkpoint made of it, in `frozen_dtype`.

    A checkpoint is an adapter, which stays beside the base weights (as it was trained: merged into
    bf16 it would be rounded), or all weights. Raises ModelUnavailable.
    """
    if checkpoint is None or (checkpoint / "adapter_config.json").is_file():
        _check_folder(base)
        model = _load(base, frozen_dtype())
        return (PeftModel.from_pretrained(model, checkpoint) if checkpoint else model).eval()
    _check_folder(checkpoint)
    return _load(checkpoint, frozen_dtype()).eval()


def _load(folder: Path, dtype: torch.dtype) -> Any:
    """Eager attention on a CPU: with bf16 three times faster there than sdpa."""
    return AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype,
        attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
        local_files_only=True,
    )


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelUnavailable(
            f"{folder} holds no model: config.json is missing", param="base_model"
        )


def lora_config(chosen: Hyperparameters) -> LoraConfig | None:
    """Adapters on every linear layer but the head, scaled by 2; None trains all weights."""
    if chosen.lora_rank == 0:
        return None
    return LoraConfig(
        r=chosen.lora_rank,
        lora_alpha=2 * chosen.lora_rank,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
