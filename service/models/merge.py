"""Child process: a base model and a LoRA adapter in, the model with merged weights out.

Run as `python -m service.models.merge BASE BASE_SHA256 ADAPTER ADAPTER_SHA256 OUT`. A process of
its own, because torch stays in memory once it is imported. W + (alpha / r) B A for each module
(LoRA, arXiv 2106.09685, section 4.1), in float32, then rounded to what W is stored in.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from service.errors import AdapterRejected, ModelUnavailable, VeriSQLError
from service.models.adapter_files import CONFIG, WEIGHTS, check_adapter, revision_of
from service.models.cache import MARKER
from service.models.registry import ServedModel
from service.models.tensors import Tensor, read_header, tensors_sha256

if TYPE_CHECKING:
    import torch

_HIGHEST_RANK = 1024
_A, _B = ".lora_A.weight", ".lora_B.weight"
_PREFIX = "base_model.model."


def merge(base: Path, base_sha256: str, adapter: Path, adapter_sha256: str, out: Path) -> None:
    """Write the folder `out`.

    Holds one matrix in memory at a time. Raises ModelUnavailable if the base has other weights
    than `base_sha256` says, AdapterRejected if the adapter is not the one of `adapter_sha256` or
    cannot be merged, OSError.
    """
    if (found := tensors_sha256(base)) != base_sha256:
        raise ModelUnavailable(
            f"the weights in {base} are not those that the adapter was trained on: SHA-256 "
            f"{found}, must be {base_sha256}. Remove that folder to have it made anew"
        )
    if (found := revision_of(adapter)) != adapter_sha256:
        raise AdapterRejected(f"{adapter} has SHA-256 {found}, must be {adapter_sha256}")
    check_adapter(adapter, ServedModel(base.name, "", base), _HIGHEST_RANK)
    scale = scale_of(json.loads((adapter / CONFIG).read_bytes()))
    _copy(base, out)
    wanted = {name for name, _, _ in _pairs(adapter / WEIGHTS)}
    for path in out.glob("*.safetensors"):
        wanted -= _merge_file(path, adapter / WEIGHTS, scale)
    if wanted:
        raise AdapterRejected(f"{base} has no matrix {min(wanted)[:200]}")


def scale_of(config: dict[str, Any]) -> float:
    """alpha / r, or alpha / sqrt(r) by rank-stabilised LoRA (arXiv 2312.03732).

    Raises AdapterRejected where one number does not say it.
    """
    for name in ("rank_pattern", "alpha_pattern", "fan_in_fan_out"):
        if config.get(name):
            raise AdapterRejected(f"{name} is set in {CONFIG}, which is not merged")
    alpha, rank = config.get("lora_alpha"), config["r"]
    if not isinstance(alpha, int | float):
        raise AdapterRejected(f"lora_alpha is {alpha!r}, must be a number")
    return float(alpha / (math.sqrt(rank) if config.get("use_rslora") else rank))


def _copy(base: Path, out: Path) -> None:
    out.mkdir()
    for path in sorted(base.iterdir()):
        if path.is_file() and path.name != MARKER:
            shutil.copyfile(path, out / path.name)
            (out / path.name).chmod(0o644)


def _merge_file(path: Path, weights: Path, scale: float) -> set[str]:
    """Rewrite in place the matrices of one file that the adapter changes; their names."""
    held = read_header(path)
    pairs = [pair for pair in _pairs(weights) if pair[0] in held]
    with path.open("r+b") as file, weights.open("rb") as adapter:
        for name, a, b in pairs:
            _add(file, held[name], scale * (_read(adapter, b) @ _read(adapter, a)))
        os.fsync(file.fileno())
    return {name for name, _, _ in pairs}


def _pairs(weights: Path) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name of the base's matrix, A and B."""
    tensors = read_header(weights)
    for name, a in tensors.items():
        if name.endswith(_A):
            module = name.removesuffix(_A)
            yield f"{module.removeprefix(_PREFIX)}.weight", a, tensors[module + _B]


def _add(file: IO[bytes], place: Tensor, update: "torch.Tensor") -> None:
    import torch

    whole = _read(file, place) + update
    rounded = whole.to(_types()[place.dtype]).contiguous()
    file.seek(place.begin)
    file.write(rounded.flatten().view(torch.uint8).numpy().tobytes())


def _read(file: IO[bytes], tensor: Tensor) -> "torch.Tensor":
    """In float32."""
    import torch

    file.seek(tensor.begin)
    raw = torch.frombuffer(bytearray(file.read(tensor.size)), dtype=_types()[tensor.dtype])
    return raw.reshape(tensor.shape).float()


def _types() -> "dict[str, torch.dtype]":
    import torch

    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def main(base: str, base_sha256: str, adapter: str, adapter_sha256: str, out: str) -> int:
    """0, or 1 with one line on standard error."""
    try:
        merge(Path(base), base_sha256, Path(adapter), adapter_sha256, Path(out))
    except (VeriSQLError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
