"""A tuned model of our own: a Llama of two layers as the base, a random adapter of peft's."""

import json
import warnings
from pathlib import Path
from typing import Any

from service.models import cache
from service.models.pack import Packing, pack
from service.models.tuned import TunedModel

NAME, BASE = "verisql-smollm2-135m", "smollm2-135m-instruct"
REVISION = "gguf-sha256:b179c9523d0e"
TEMPLATE = "m_schema-v1+examples"


def tiny_base(models_dir: Path, seed: int = 0, dtype: str = "bfloat16") -> Path:
    """In the models cache, as if it were the 135M model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=False,
        )
        made = models_dir / "made"
        LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(made)
    (made / "tokenizer.json").write_text("{}")
    return cache.publish(made, models_dir, BASE, REVISION)


def random_adapter(base: Path, folder: Path, **config: Any) -> Path:
    """As the trainer leaves a checkpoint, both matrices random."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    chosen = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear"} | config
    tuned = get_peft_model(model, LoraConfig(init_lora_weights=False, **chosen))
    tuned.save_pretrained(folder)
    return folder


def tuned_model(folder: Path, **config: Any) -> tuple[TunedModel, Path, Path]:
    """What is shipped, the folder of shipped models, the models folder with the base in it."""
    models, shipped = folder / "models", folder / "shipped"
    base = tiny_base(models)
    checkpoint = random_adapter(base, folder / "step_7", **config)
    (folder / "card.md").write_text("# A card\n")
    packing = Packing(NAME, checkpoint, base, TEMPLATE, folder / "card.md")
    return pack(packing, shipped), shipped, models


def about(folder: Path, **changes: str) -> None:
    """Write tuned.json anew with other values."""
    path = folder / NAME / "tuned.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))
