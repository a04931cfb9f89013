"""Export one checkpoint of a run, whole or not at all."""

import hashlib
import os
import shutil
from pathlib import Path

from service.text2sql.prompt import Template
from trainer.canary import record, write_canary
from trainer.errors import ExportRefused
from trainer.export.about import About
from trainer.export.base import PublicBase, public_base
from trainer.export.card import write_card
from trainer.export.prompts import run_prompts
from trainer.export.source import Source, find_source
from trainer.export.weights import (
    DType,
    copy_tokenizer,
    load_exported,
    write_adapter,
    write_merged,
)
from trainer.model import load_tokenizer, token_counter
from trainer.sampling import Sampler, stop_tokens


def export_policy(
    source: Path,
    base_model_path: Path,
    out: Path,
    *,
    merged: bool = False,
    checkpoint: int | None = None,
    base: PublicBase | None = None,
    about: About | None = None,
    dtype: DType = "bf16",
    canaries: int = 8,
    tokenizer: bool = True,
) -> Path:
    """Write the folder `out` from a run's folder or one of its checkpoints; returns `out`.

    Without `checkpoint` it is the best, or the newest. `merged` gives whole weights in bf16 in the
    place of an adapter of type `dtype`. `canaries` prompts, 0..32, are answered for canary.json
    with what was written, read back. Raises ExportRefused, InvalidRequest, ModelUnavailable; then
    `out` does not exist.
    """
    if out.exists():
        raise ExportRefused(f"{out} exists already: name a folder that does not", param="out")
    found = find_source(source, checkpoint)
    named = base or public_base(found.facts.request.spec.base_model, base_model_path)
    partial = out.with_name(f".{out.name}.partial{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        _write_weights(found, named, base_model_path, partial, dtype, merged=merged)
        if tokenizer or merged:
            copy_tokenizer(base_model_path, partial)
        if canaries:
            _write_canary(found, base_model_path, partial, canaries)
        write_card(found, named, about or About(), partial, _hashes(partial), merged=merged)
        _sync(partial)
        partial.rename(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _write_weights(
    source: Source, named: PublicBase, base: Path, out: Path, dtype: DType, *, merged: bool
) -> None:
    if merged:
        write_merged(source, base, out)
    else:
        write_adapter(source, named, out, dtype)


def _write_canary(source: Source, base: Path, out: Path, wanted: int) -> None:
    tokenizer = load_tokenizer(base)
    template = Template.parse(source.template)
    prompts = run_prompts(source.facts.request, template, token_counter(tokenizer), wanted)
    model = load_exported(base, out)
    sampler = Sampler(model, tokenizer, stop_tokens(base, tokenizer))
    write_canary(record(sampler, prompts), out)


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
