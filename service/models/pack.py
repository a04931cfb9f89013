"""`python -m service.models.pack CHECKPOINT NAME --card CARD.md`: a tuned model for the package.

Writes service/models/shipped/NAME from a training checkpoint: the adapter in bfloat16, its base by
name and hash, the template of its prompts, its card. Nothing of the machine it was trained on.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import AdapterRejected, ModelUnavailable, VeriSQLError
from service.models.adapter_files import CONFIG, WEIGHTS, check_adapter, revision_of
from service.models.cache import MARKER
from service.models.catalogue import KNOWN, TUNED
from service.models.merge import scale_of
from service.models.registry import ServedModel
from service.models.tensors import tensors_sha256
from service.models.tuned import ABOUT, SHIPPED, TunedModel

MOST_BYTES = 20_000_000
CARD = "README.md"
_HIGHEST_RANK = 1024


@dataclass(frozen=True, slots=True)
class Packing:
    """What becomes a tuned model."""

    name: str
    checkpoint: Path
    base: Path
    """Folder of the models cache that it was trained on."""
    template: str
    card: Path


def pack(packing: Packing, shipped: Path = SHIPPED) -> TunedModel:
    """Replace the folder of that name; nothing is left of one that fails.

    Raises AdapterRejected for a checkpoint that cannot be merged or is too large, ModelUnavailable
    for a base that is not the known one, OSError.
    """
    new = shipped / f".new-{packing.name}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        tuned = _write(packing, new)
        shutil.rmtree(shipped / packing.name, ignore_errors=True)
        new.rename(shipped / packing.name)
        return tuned
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _write(packing: Packing, new: Path) -> TunedModel:
    known = KNOWN[TUNED[packing.name]]
    revision = _revision(packing.base)
    config = json.loads((packing.checkpoint / CONFIG).read_bytes())
    scale_of(config)
    config |= {"base_model_name_or_path": known.hub_id, "inference_mode": True}
    (new / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    _write_bf16(packing.checkpoint / WEIGHTS, new / WEIGHTS)
    shutil.copyfile(packing.card, new / CARD)
    files = check_adapter(new, ServedModel(known.name, "", packing.base), _HIGHEST_RANK)
    if files.size_bytes > MOST_BYTES:
        raise AdapterRejected(f"{WEIGHTS} has {files.size_bytes} bytes, at most {MOST_BYTES}")
    tuned = TunedModel(
        name=packing.name,
        base_model=known.name,
        base_revision=revision,
        base_tensors_sha256=tensors_sha256(packing.base),
        adapter_sha256=revision_of(new),
        template=packing.template,
    )
    (new / ABOUT).write_text(tuned.model_dump_json(indent=1) + "\n")
    return tuned


def _write_bf16(source: Path, target: Path) -> None:
    """Half the bytes of the float32 that LoRA trains in, and as exact as the base's weights."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = {name: value.to(torch.bfloat16) for name, value in load_file(source).items()}
    save_file(tensors, target, metadata={"format": "pt"})


def _revision(base: Path) -> str:
    """What the models cache wrote down of that folder; raises ModelUnavailable."""
    try:
        return str(json.loads((base / MARKER).read_bytes())["revision"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnavailable(f"{base} is no folder of the models cache: no {MARKER}") from error


def main() -> int:
    """0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m service.models.pack", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder with the adapter, and manifest.json")
    parser.add_argument("name", choices=sorted(TUNED))
    parser.add_argument("--card", type=Path, required=True, help="model card, Markdown")
    parser.add_argument("--base", type=Path, help="default: as adapter_config.json says")
    parser.add_argument("--template", help="default: the only one that manifest.json counts")
    args = parser.parse_args()
    try:
        checkpoint: Path = args.checkpoint
        base = args.base or Path(_read(checkpoint / CONFIG)["base_model_name_or_path"])
        template = args.template or _template(_read(checkpoint / "manifest.json"))
        tuned = pack(Packing(args.name, checkpoint, base, template, args.card))
    except (VeriSQLError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{tuned.adapter} on {tuned.base_revision} with {tuned.template}\n")
    return 0


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def _template(manifest: Mapping[str, Any]) -> str:
    names = list(manifest.get("prompt_templates", {}))
    if len(names) != 1:
        raise AdapterRejected(f"manifest.json names the templates {names}: choose with --template")
    return str(names[0])


if __name__ == "__main__":
    sys.exit(main())
