"""Real LoRA adapters for the 135M model, and small made-up ones for tests without a model."""

import json
import math
import random
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from service.models.registry import ServedModel

Change = Callable[[str, Any], Any]
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Type and shape of each tensor."""
SIZES = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4}


def peft_adapter(base: ServedModel, folder: Path, rank: int = 8) -> Path:
    """What peft writes for a model on which nothing was trained yet: B is zero."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", bias="none")
    get_peft_model(model, config).save_pretrained(folder)
    return folder


def changed(source: Path, folder: Path, change: Change) -> Path:
    """A copy in which `change` has been at every matrix."""
    from safetensors.numpy import load_file, save_file

    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_bytes((source / "adapter_config.json").read_bytes())
    tensors = load_file(source / "adapter_model.safetensors")
    save_file({k: change(k, v) for k, v in tensors.items()}, folder / "adapter_model.safetensors")
    return folder


def noise(scale: float, seed: int = 0) -> Change:
    """Random B matrices; the larger, the less sense."""
    import numpy as np

    dice = np.random.default_rng(seed)

    def change(name: str, matrix: Any) -> Any:
        drawn = dice.normal(0.0, scale, matrix.shape).astype(matrix.dtype)
        return drawn if "lora_B" in name else matrix

    return change


def not_a_number(name: str, matrix: Any) -> Any:
    """Every weight of B broken."""
    import numpy as np

    return np.full_like(matrix, np.nan) if "lora_B" in name else matrix


def write_tensors(path: Path, shapes: Shapes, seed: int = 0) -> None:
    """A safetensors file with random content."""
    entries, end = {}, 0
    for name, (dtype, shape) in shapes.items():
        begin, end = end, end + SIZES[dtype] * math.prod(shape)
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    dice = random.Random(seed)
    data = b"".join(struct.pack("<f", dice.uniform(-1, 1)) for _ in range(end // 4 + 1))[:end]
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)


def tiny_adapter(
    folder: Path, *, rank: int = 4, seed: int = 0, base: str = "double", **config: Any
) -> Path:
    """An adapter of two small matrices: good enough wherever nothing computes with it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "bias": "none"}
    about |= {"base_model_name_or_path": base, "target_modules": ["q_proj"]} | config
    (folder / "adapter_config.json").write_text(json.dumps(about))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes: Shapes = {
        f"{module}.lora_A.weight": ("F32", (rank, 6)),
        f"{module}.lora_B.weight": ("F32", (8, rank)),
    }
    write_tensors(folder / "adapter_model.safetensors", shapes, seed)
    return folder


@pytest.fixture(scope="session")
def real_adapters(
    small_model: ServedModel, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """`zero` changes nothing, `small` a little, `noisy` all, `nan` is broken."""
    root = tmp_path_factory.mktemp("adapters")
    zero = peft_adapter(small_model, root / "zero")
    return {
        "zero": zero,
        "small": changed(zero, root / "small", noise(0.002)),
        "noisy": changed(zero, root / "noisy", noise(2.0)),
        "nan": changed(zero, root / "nan", not_a_number),
    }
