"""The policy's weights: an adapter in PEFT's layout, or merged in Hugging Face's."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from trainer.errors import ExportRefused
from trainer.export.base import PublicBase
from trainer.export.source import Source
from trainer.precision import frozen_dtype

ADAPTER, CONFIG = "adapter_model.safetensors", "adapter_config.json"
DType = Literal["bf16", "fp32"]
_TORCH: dict[DType, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


def write_adapter(source: Source, base: PublicBase, out: Path, dtype: DType = "bf16") -> None:
    """The adapter with its configuration, which names the public base.

    bf16 halves the file and is what a server in bf16 computes with anyway; fp32 keeps what the
    optimiser had. Raises ExportRefused for full weights, or for a weight that is no number.
    """
    if not source.is_adapter:
        raise ExportRefused(
            f"checkpoint {source.number} holds all weights, there is no adapter: export it merged",
            param="merged",
        )
    tensors = load_file(source.checkpoint / ADAPTER)
    _check_finite(tensors, source)
    cast = {name: t.to(_TORCH[dtype]).contiguous() for name, t in sorted(tensors.items())}
    save_file(cast, out / ADAPTER, metadata={"format": "pt"})
    config = json.loads((source.checkpoint / CONFIG).read_bytes())
    config |= {"base_model_name_or_path": base.name, "revision": base.revision}
    config["inference_mode"] = True
    if isinstance(config.get("target_modules"), list):
        config["target_modules"].sort()  # peft writes a set, in any order.
    (out / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


def write_merged(source: Source, base_model_path: Path, out: Path) -> None:
    """bf16 weights with the adapter in them, added up in fp32; generation settings as the base has.

    Raises ExportRefused for a weight that is no number.
    """
    if source.is_adapter:
        model = _load(base_model_path, torch.float32)
        wrapped = PeftModel.from_pretrained(model, str(source.checkpoint), torch_device="cpu")
        model = wrapped.merge_and_unload()
    else:
        model = _load(source.checkpoint, torch.float32)
    _check_finite(dict(model.named_parameters()), source)
    model = model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(out)
    settings = base_model_path / "generation_config.json"
    if settings.is_file():
        shutil.copyfile(settings, out / settings.name)


def copy_tokenizer(base_model_path: Path, out: Path) -> None:
    """The base's own files: training leaves the tokenizer as it is."""
    for name in _TOKENIZER:
        if (base_model_path / name).is_file():
            shutil.copyfile(base_model_path / name, out / name)


def load_exported(base_model_path: Path, out: Path) -> Any:
    """What was written, read back as a server on this machine would."""
    if (out / CONFIG).is_file():
        return PeftModel.from_pretrained(_load(base_model_path, frozen_dtype()), str(out)).eval()
    return _load(out, frozen_dtype()).eval()


def _load(folder: Path, dtype: torch.dtype) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)


def _check_finite(tensors: dict[str, torch.Tensor], source: Source) -> None:
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ExportRefused(
            f"checkpoint {source.number}: {broken[0]} holds a NaN or an infinity; take an earlier "
            "checkpoint",
            param="checkpoint",
        )
