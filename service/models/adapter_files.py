"""A LoRA adapter in a folder, in Hugging Face PEFT's layout: is it whole, and does it fit the base.

Only two files are ever read or copied: adapter_config.json and adapter_model.safetensors. What else
a training checkpoint holds (optimiser and random states are pickles) stays where it is.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import AdapterRejected
from service.models.catalogue import KNOWN, TUNED
from service.models.registry import ServedModel
from service.models.tensors import BadTensors, Tensor, outsized, read_header

CONFIG, WEIGHTS, CANARY = "adapter_config.json", "adapter_model.safetensors", "canary.json"
NEW = ".new-"
"""What a registered adapter's folder begins with until it is whole."""
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
_LONGEST_CONFIG = 1_000_000
_MATRIX = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_NOT_SERVED = (
    "use_dora",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
)
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq")
"""Starts that alter the base weights, which the server does not have."""


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """What a sound adapter is."""

    revision: str
    """SHA-256 over both files, 64 hex digits."""
    base_name: str
    """What the adapter says it was trained on."""
    rank: int
    size_bytes: int


def check_adapter(folder: Path, base: ServedModel | None, max_rank: int) -> AdapterFiles:
    """Look at a folder in a pass over its bytes; raises AdapterRejected that says what is wrong.

    `base` is the served model where its files are here; without it the shapes are the server's to
    compare.
    """
    try:
        config = _config(folder)
        tensors = read_header(folder / WEIGHTS)
        shapes = _base_shapes(base) if base else None
    except BadTensors as error:
        raise _wrong(folder, str(error)) from error
    except OSError as error:
        name = Path(str(error.filename or folder)).name
        raise _wrong(folder, f"{name}: {error.strerror}") from error
    rank = _check_config(folder, config, max_rank)
    base_name = str(config.get("base_model_name_or_path") or "")
    if base:
        _check_base(folder, base_name, base)
    _check_tensors(folder, tensors, shapes, rank)
    # A NaN does not stay in its own requests: it stays in cache blocks that others get next.
    if matrix := outsized(folder / WEIGHTS, tensors):
        raise _wrong(folder, f"{matrix[:200]} holds a NaN, an infinity or a number of 2048 or more")
    return AdapterFiles(revision_of(folder), base_name, rank, (folder / WEIGHTS).stat().st_size)


def revision_of(folder: Path) -> str:
    """SHA-256 over both files, 64 hex digits; raises OSError."""
    total = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        with (folder / name).open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def other_base(said: str, base: ServedModel) -> str | None:
    """The known model that an adapter names as its base, where that is another than `base`.

    A folder's name says little, then the shapes decide.
    """
    hub_ids = {known.hub_id.lower(): name for name, known in KNOWN.items()}
    named = hub_ids.get(said.split("@")[0].lower(), Path(said).name.split("@")[0].lower())
    both_known = {named, base.name} <= {*KNOWN, *TUNED}
    return named if both_known and named != base.name else None


def _config(folder: Path) -> dict[str, Any]:
    for name in (CONFIG, WEIGHTS):
        if (folder / name).is_symlink() or not (folder / name).is_file():
            raise _wrong(folder, f"{name} is missing, or no plain file")
    if pickles := [name for name in _PICKLES if (folder / name).exists()]:
        raise _wrong(folder, f"{pickles[0]} is a pickle, which can run code: remove it")
    if (folder / CONFIG).stat().st_size > _LONGEST_CONFIG:
        raise _wrong(folder, f"{CONFIG} is over {_LONGEST_CONFIG} bytes")
    try:
        config = json.loads((folder / CONFIG).read_bytes())
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise _wrong(folder, f"{CONFIG} holds no JSON object")
    return config


def _check_config(folder: Path, config: Mapping[str, Any], max_rank: int) -> int:
    """The largest rank; raises AdapterRejected for what the model server cannot do."""
    if config.get("peft_type") != "LORA":
        raise _wrong(folder, f"peft_type is {str(config.get('peft_type'))[:50]!r}, must be 'LORA'")
    if used := [name for name in _NOT_SERVED if config.get(name)]:
        raise _wrong(folder, f"{used[0]} is set, which vLLM does not serve")
    if config.get("bias", "none") != "none":
        raise _wrong(folder, f"bias is {str(config['bias'])[:50]!r}, must be 'none'")
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(_CHANGES_BASE):
        raise _wrong(folder, f"init_lora_weights={start[:50]!r} alters the base: convert it first")
    pattern = config.get("rank_pattern") or {}
    ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else [pattern])]
    if not all(isinstance(rank, int) and 0 < rank <= max_rank for rank in ranks):
        allowed = f"1..{max_rank} (VERISQL_MAX_LORA_RANK)"
        raise _wrong(folder, f"the rank is {str(ranks)[:100]}, must be {allowed}")
    return max(rank for rank in ranks if isinstance(rank, int))


def _check_base(folder: Path, given: str, base: ServedModel) -> None:
    if named := other_base(given, base):
        raise _wrong(
            folder,
            f"it was trained on {named}, and {base.name} is served (VERISQL_MODEL chooses)",
        )


def _check_tensors(
    folder: Path, tensors: Mapping[str, Tensor], shapes: Mapping[str, Tensor] | None, rank: int
) -> None:
    sides: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if not (found := _MATRIX.fullmatch(name)):
            raise _wrong(folder, f"{name[:200]} is no LoRA matrix")
        sides.setdefault(found["module"], {})[found["side"]] = tensor
    if not sides:
        raise _wrong(folder, f"{WEIGHTS} is empty")
    for module, pair in sides.items():
        _check_pair(folder, module, pair, rank)
        if shapes is not None:
            _check_fit(folder, module, pair, shapes)


def _check_pair(folder: Path, module: str, pair: Mapping[str, Tensor], rank: int) -> None:
    if set(pair) != {"A", "B"}:
        raise _wrong(folder, f"{module[:200]} has only one of lora_A and lora_B")
    a, b = pair["A"], pair["B"]
    if len(a.shape) != 2 or len(b.shape) != 2 or not 0 < a.shape[0] == b.shape[1] <= rank:
        raise _wrong(folder, f"{module[:200]}: shapes {a.shape} and {b.shape} are not rank {rank}")
    if wrong := [t.dtype for t in (a, b) if t.dtype not in ("F32", "F16", "BF16")]:
        raise _wrong(folder, f"{module[:200]}: type {wrong[0]} is none of F32, F16, BF16")


def _check_fit(
    folder: Path, module: str, pair: Mapping[str, Tensor], shapes: Mapping[str, Tensor]
) -> None:
    made = (pair["B"].shape[0], pair["A"].shape[1])
    base = shapes.get(f"{module}.weight")
    if base is not None and base.shape != made:
        raise _wrong(folder, f"{module[:200]} is for {made}, the served base has {base.shape}")
    # A quantised base keeps a layer under other names and in other shapes.
    if base is None and not any(name.startswith(f"{module}.") for name in shapes):
        raise _wrong(folder, f"the served base has no {module[:200]}")


def _base_shapes(base: ServedModel) -> dict[str, Tensor]:
    shapes: dict[str, Tensor] = {}
    for path in sorted(base.path.glob("*.safetensors")):
        shapes |= read_header(path)
    return shapes


def _wrong(folder: Path, what: str) -> AdapterRejected:
    return AdapterRejected(f"{folder.name.removeprefix(NEW)}: {what}", param="path")
