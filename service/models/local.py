"""A model in a folder of the user's own: is it whole, and which weights are they."""

import hashlib
import json
from pathlib import Path

from service.errors import ModelUnavailable

SAMPLE_BYTES = 64 * 1024
SAMPLES = 64


def check_folder(folder: Path) -> None:
    """Raise ModelUnavailable that lists what a Hugging Face model folder must have and lacks."""
    if not folder.is_dir():
        raise ModelUnavailable(f"{folder} is not a folder with a model", param="model")
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        raise ModelUnavailable(
            f"{folder} is a LoRA adapter: merge it into its base model first", param="model"
        )
    missing = _missing(folder)
    if missing:
        raise ModelUnavailable(f"{folder} lacks {', '.join(missing)}", param="model")


def fingerprint(folder: Path) -> str:
    """`local:` and 12 hex digits over config.json and evenly spaced samples of the weights.

    At most 64 blocks of 64 KiB of each file are read, so that it costs the same at any size.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        _sample(path, digest)
    return f"local:{digest.hexdigest()[:12]}"


def _missing(folder: Path) -> list[str]:
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if not any((folder / n).is_file() for n in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        missing.append("tokenizer.json")
    return missing + [shard for shard in _shards(folder) if not (folder / shard).is_file()]


def _shards(folder: Path) -> list[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return []
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        return ["a readable model.safetensors.index.json"]


def _sample(path: Path, digest: "hashlib._Hash") -> None:
    size = path.stat().st_size
    step = max(size // SAMPLES, SAMPLE_BYTES)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))
