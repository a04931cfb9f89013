"""Child process: one GGUF file in, one folder of bf16 safetensors, tokenizer and config out.

Run as `python -m service.models.dequantise FILE.gguf OUT`. A process of its own, because torch and
transformers stay in memory once they are imported.
"""

import json
import sys
from pathlib import Path


def dequantise(gguf: Path, out: Path) -> None:
    """Write `out` with config, bf16 weights, tokenizer and chat template taken from `gguf`.

    Raises whatever transformers raises for a file that it cannot read.
    """
    # Heavy, and needed in this process alone.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    # Without GgufConfig the model keeps a quantiser that cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.save_pretrained(str(out))
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(str(out))
    _forget_quantisation(out / "config.json")


def _forget_quantisation(config: Path) -> None:
    # A leftover entry would make the model server look for quantised weights.
    values = json.loads(config.read_text())
    values.pop("quantization_config", None)
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    dequantise(Path(sys.argv[1]), Path(sys.argv[2]))
